"""Makes the file tree that a Dockerfile describes, without an engine. What it cannot imitate, it refuses.

A build stage gets this machine's own file system in place of its base image, beneath an overlay that takes what is
written; it is asked for its compiler's version first. The final stage starts from nothing, as `scratch` does.
"""

import os
import pathlib
import re
import shutil
import subprocess

# Native on Alpine, where the build stage comes from.
TARGET = f"{os.uname().machine}-unknown-linux-musl"

# $1 takes what is written, $2 is the overlay's own, $3 is where both are seen with the machine's files beneath; $4 the
# working folder, $5 the command; then pairs of a cache and where it is mounted. The mounts go when the shell goes.
CHROOT = """
merged=$3; workdir=$4; command=$5
mount -t overlay overlay -o "lowerdir=/,upperdir=$1,workdir=$2" "$merged"
mount --rbind /dev "$merged/dev"; mount --rbind /proc "$merged/proc"
shift 5
while [ $# -gt 0 ]; do mkdir -p "$merged$2"; mount --bind "$1" "$merged$2"; shift 2; done
exec chroot "$merged" sh -c 'cd "$1" && exec sh -c "$2"' sh "$workdir" "$command"
"""


class Context:
    """The files that the engine would be sent: all of the repository but what `.dockerignore` takes out."""

    def __init__(self, repository):
        self.repository = repository
        lines = (repository / ".dockerignore").read_text().splitlines()
        rules = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        # The last rule that speaks of a path, or of a folder above it, decides.
        self.rules = [(not rule.startswith("!"), re.compile(pattern(rule.removeprefix("!")))) for rule in rules]
        self.files = [file for file in self.walk() if not self.ignored(file)]

    def walk(self):
        for folder, folders, files in os.walk(self.repository):
            folders[:] = [f for f in folders if f not in (".git", "target")]  # Large, and ignored anyway.
            for file in files:
                yield os.path.relpath(os.path.join(folder, file), self.repository)

    def ignored(self, path):
        return next((ignores for ignores, rule in reversed(self.rules) if rule.fullmatch(path)), False)

    def has(self, source):
        return source == "." or any(file == source or file.startswith(f"{source.rstrip('/')}/") for file in self.files)

    def copy(self, folder, target):
        """What COPY does with a folder: its contents go into the target. Single files are not imitated."""
        if folder in self.files:
            raise ValueError(f"COPY {folder}: a file from the context is beyond this check")
        for file in self.files:
            if folder == "." or file.startswith(f"{folder}/"):
                place = target / os.path.relpath(file, folder)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.repository / file, place)


def pattern(rule):
    """A rule of `.dockerignore` as a regular expression for the path and everything beneath it."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", rule.strip("/"))
    return "".join(parts.get(piece, re.escape(piece)) for piece in pieces) + "(?:/.*)?"


def build(stages, context, scratch, caches):
    """The root folder of the final stage. Raises CalledProcessError with what the failing step wrote."""
    roots = {}
    for stage in stages:
        root = roots[stage.name] = scratch / stage.name
        root.mkdir()
        if stage.base != "scratch":
            require_compiler(stage.base)
        workdir = "/"
        for i in stage.instructions:
            match i.keyword:
                case "WORKDIR":
                    workdir = i.rest
                    place(root, workdir).mkdir(parents=True, exist_ok=True)
                case "COPY":
                    *sources, target = i.words()
                    for source in sources:
                        copy(roots, i.flag("from"), context, source, place(root, os.path.join(workdir, target)))
                case "RUN":
                    run(i, root, workdir, scratch, caches)
    return root


def require_compiler(base):
    """The image's Rust has to be the one that is here, or what is built is something else."""
    version = re.match(r"rust:(\d+\.\d+)", base)[1]
    here = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout
    if not here.startswith(f"rustc {version}."):
        raise ValueError(f"{base} builds with Rust {version}, this machine with {here.split()[1]}")


def copy(roots, stage, context, source, target):
    if not stage:
        return context.copy(source.rstrip("/"), target)
    target.mkdir(parents=True, exist_ok=True)
    # Only what the stage's own steps wrote can come from it: the overlay, not the machine beneath.
    shutil.copy2(place(roots[stage], source), target)


def run(instruction, root, workdir, scratch, caches):
    """Runs a RUN as it stands, but for naming the target that is Alpine's native one."""
    mounts = []
    for mount in (dict(part.partition("=")[::2] for part in value.split(",")) for _, value in instruction.flags):
        cache = caches / mount.get("id", mount["target"].strip("/").replace("/", "-"))
        cache.mkdir(parents=True, exist_ok=True)
        mounts += [cache, mount["target"]]
    work, merged = scratch / "work", scratch / "merged"
    for folder in work, merged:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("CARGO_", "RUSTFLAGS"))}
    shell = ["unshare", "--mount", "sh", "-euc", CHROOT, "sh", root, work, merged, workdir, instruction.rest, *mounts]
    subprocess.run(shell, env=ours | {"CARGO_BUILD_TARGET": TARGET}, check=True, capture_output=True, text=True)


def place(root, path):
    return root / path.lstrip("/")
