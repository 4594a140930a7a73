"""Reads a Dockerfile, and says what is wrong with it. It builds nothing and runs nothing.

It knows as much of the language as the Dockerfiles here use. What it does not know (variables, heredocs, ONBUILD …) is
a fault, so that nothing goes by unread.
"""

import json
import re
import shlex
import signal
from dataclasses import dataclass, field

# Instructions by the place they may stand in, besides FROM.
BUILDING = {"COPY", "RUN", "WORKDIR"}
FINISHING = {"COPY", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
# What the final stage says exactly once, in this order.
ONCE = ["USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"]


@dataclass
class Instruction:
    """One instruction: `KEYWORD --flag=value … rest`."""

    line: int
    keyword: str
    flags: list  # Pairs of name and value, because --mount may come again.
    rest: str

    def flag(self, name):
        return next((value for flag, value in self.flags if flag == name), None)

    def words(self):
        return shlex.split(self.rest)

    def command(self):
        """The arguments of the exec form, or None of the shell form."""
        try:
            words = json.loads(self.rest.removeprefix("CMD ") if self.keyword == "HEALTHCHECK" else self.rest)
        except ValueError:
            return None
        return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


@dataclass
class Stage:
    """What stands from one FROM to the next."""

    line: int
    base: str
    name: str
    instructions: list = field(default_factory=list)

    def all(self, keyword):
        return [i for i in self.instructions if i.keyword == keyword]

    def one(self, keyword):
        """The last one counts, as it does for the engine."""
        return self.all(keyword)[-1]

    def port(self):
        return int(self.one("EXPOSE").rest)

    def user(self):
        return self.one("USER").rest


def read(text):
    """The stages. Raises ValueError for what cannot be an instruction of ours."""
    stages = []
    for line, logical in logical_lines(text):
        keyword, _, rest = logical.partition(" ")
        flags = []
        while flag := re.match(r"--([a-z-]+)=(\S+)\s+", rest := rest.strip()):
            flags.append((flag[1], flag[2]))
            rest = rest[flag.end():]
        if keyword == "FROM":
            base, name = re.fullmatch(r"(\S+)(?: AS (\S+))?", rest).groups() if rest else ("", None)
            stages.append(Stage(line, base, name or str(len(stages))))
        elif not stages:
            raise ValueError(f"line {line}: {keyword} before the first FROM")
        else:
            stages[-1].instructions.append(Instruction(line, keyword, flags, rest))
    if not stages:
        raise ValueError("no FROM")
    return stages


def logical_lines(text):
    """Each instruction on one line, with the number of its first; comments fall out, also from within."""
    pending, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (line.strip() or pending):
            continue
        first = first if pending else number
        pending = f"{pending} {line.strip()}".lstrip()
        if not pending.endswith("\\"):
            yield first, pending
            pending = ""
        else:
            pending = pending.removesuffix("\\").rstrip()
    if pending:
        raise ValueError(f"line {first}: ends in a continuation")


def faults(stages, in_context):
    """What is wrong, as sentences. `in_context` tells whether a path is in the build context."""
    for index, stage in enumerate(stages):
        earlier = {s.name for s in stages[:index]}
        final = index == len(stages) - 1
        yield from faults_of_base(stage, earlier)
        for i in stage.instructions:
            if i.keyword not in (FINISHING if final else BUILDING):
                yield f"line {i.line}: {i.keyword} has no place in {'the final' if final else 'a build'} stage"
            if i.keyword != "RUN" and "$" in i.rest or "<<" in i.rest:
                yield f"line {i.line}: a variable or heredoc, which nothing here can check"
            if i.keyword == "COPY":
                yield from faults_of_copy(i, earlier, in_context)
            if i.keyword == "RUN" and re.search(r"\bcargo (build|install)\b(?!.*--locked)", i.rest):
                yield f"line {i.line}: cargo without --locked builds something else tomorrow"
        later = stages[index + 1:]
        used = {s.base for s in later} | {i.flag("from") for s in later for i in s.all("COPY")}
        if not final and stage.name not in used:
            yield f"line {stage.line}: nobody uses the stage {stage.name}"
    yield from faults_of_final(stages[-1])


def faults_of_base(stage, earlier):
    if stage.base == "scratch" or stage.base in earlier:
        return
    tag = re.fullmatch(r"[a-z0-9./_-]+:([\w.-]+)(@sha256:[0-9a-f]{64})?", stage.base)
    if not tag or tag[1] == "latest" or not any(c.isdigit() for c in tag[1]):
        yield f"line {stage.line}: {stage.base or 'nothing'} names no version"


def faults_of_copy(copy, earlier, in_context):
    *sources, target = copy.words()
    if not sources:
        yield f"line {copy.line}: COPY wants a source and a target"
    stage = copy.flag("from")
    if (stage or len(sources) > 1) and not target.endswith("/"):
        yield f"line {copy.line}: {target} is not spelled as a folder"
    if stage and stage not in earlier:
        yield f"line {copy.line}: there is no stage {stage} above"
    for source in sources:
        if stage and not source.startswith("/"):
            yield f"line {copy.line}: {source} is not absolute"
        if not stage and not in_context(source):
            yield f"line {copy.line}: {source} is not in the build context"


def faults_of_final(stage):
    order = [i.keyword for i in stage.instructions if i.keyword in ONCE]
    if order != ONCE:
        yield f"the final stage says {', '.join(order) or 'nothing'} instead of {', '.join(ONCE)}"
        return
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", stage.user()):
        yield f"USER {stage.user()} is not a numeric user and group other than root"
    if not re.fullmatch(r"\d{4,5}", stage.one("EXPOSE").rest):
        yield f"EXPOSE {stage.one('EXPOSE').rest} is not one unprivileged port"
    if stage.one("STOPSIGNAL").rest not in signal.Signals.__members__:
        yield f"STOPSIGNAL {stage.one('STOPSIGNAL').rest} is no signal"
    for keyword in "HEALTHCHECK", "ENTRYPOINT", "CMD":
        command = stage.one(keyword).command()
        if command is None:
            yield f"{keyword} is not in exec form, and there is no shell for another"
        elif keyword != "CMD" and not command[0].startswith("/"):
            yield f"{keyword} starts {command[0]}, which is not an absolute path"
    for name in "interval", "timeout", "start-period", "retries":
        if not stage.one("HEALTHCHECK").flag(name):
            yield f"HEALTHCHECK leaves --{name} to the engine"
