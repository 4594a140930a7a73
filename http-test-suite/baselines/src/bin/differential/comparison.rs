//! Compares the readings of parsers, proxies and servers with ours, and counts what differs.

use crate::{
    causes, http_core,
    lane::Passage,
    messages::probe,
    network::Subject,
    parsers::{Parser, read_with_all},
    reading::{Difference, End, Reading, Verdict},
    report::{Differences, Kind, row},
};
use std::{cmp::Ordering, io};

/// How many messages the parsers read at a time.
const BATCH: usize = 20_000;

/// The statuses by which a server rejects a request that it cannot read, or does not want to.
const REJECTIONS: &[u16] = &[400, 403, 408, 411, 413, 414, 417, 421, 426, 431, 501, 503, 505];

/// The column of the messages that only we accept.
const ALONE: &str = "messages";

/// What has been compared so far.
pub struct Comparison {
    /// The parsers, which also read what proxies forward.
    pub parsers: Vec<Parser>,
    /// What differs.
    pub differences: Differences,
    /// The tables.
    pub summary: String,
}

impl Comparison {
    /// Compares the parsers on all of `messages`.
    ///
    /// # Errors
    ///
    /// If a script fails.
    pub fn parsers(&mut self, mut messages: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
        let names: Vec<_> = self.parsers.iter().map(|parser| parser.name.clone()).collect();
        let mut total = 0;
        loop {
            let batch: Vec<_> = messages.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            total += batch.len();
            let (ours, others) = read_with_all(&mut self.parsers, &batch)?;
            for (index, (message, ours)) in batch.iter().zip(&ours).enumerate() {
                let mut stricter = 0;
                for (name, readings) in names.iter().zip(&others) {
                    let theirs = &readings[index];
                    let verdict = ours.compare(theirs);
                    stricter += usize::from(matches!(verdict, Verdict::Laxer(_)));
                    count(&mut self.differences, name, message, ours, theirs.requests.len(), verdict);
                }
                if stricter == names.len() && Parser::are_all(&self.parsers) {
                    let cause = causes::of_acceptance(message, ours, 0, "");
                    self.differences.add(Kind::Alone, cause, ALONE, message);
                }
            }
        }
        self.summarize("Parsers", &names, total);
        let table = self.differences.table(Kind::Alone, &[ALONE.to_owned()]);
        self.summary.push_str(&format!("\n### We accept, all others reject\n\n{table}"));
        Ok(())
    }

    /// Compares proxies: what each forwards, read by http-core and by the other parsers.
    ///
    /// # Errors
    ///
    /// If a script fails, or a proxy accepts no connections.
    pub fn proxies(
        &mut self,
        proxies: impl IntoIterator<Item = io::Result<Subject>>,
        messages: &[Vec<u8>],
    ) -> io::Result<()> {
        let readings: Vec<_> = messages.iter().map(|message| http_core::read(message)).collect();
        let mut names = Vec::new();
        let mut table = String::new();
        let parsers = self.parsers.iter().map(|parser| parser.name.as_str());
        let columns =
            ["proxy", "forwarded requests", "we read the same", "we reject", "unfinished", "**http-core**"];
        let columns: Vec<_> = columns.into_iter().chain(parsers).collect();
        row(&mut table, &columns);
        row(
            &mut table,
            columns.iter().enumerate().map(|(column, _)| if column == 0 { "---" } else { "---:" }),
        );
        for proxy in proxies {
            let proxy = match proxy {
                Ok(proxy) => proxy,
                Err(error) => {
                    eprintln!("skipped {error}");
                    continue;
                }
            };
            let passages = proxy.send_all(messages)?;
            for ((message, ours), passage) in messages.iter().zip(&readings).zip(&passages) {
                let verdict = compare_passage(ours, passage);
                count(&mut self.differences, &proxy.name, message, ours, passage.forwarded.len(), verdict);
            }
            let cells = self.origins(&proxy, messages, &passages)?;
            row(&mut table, [proxy.name.clone()].into_iter().chain(cells.iter().map(usize::to_string)));
            names.push(proxy.name.clone());
        }
        self.summary.push_str(&format!("\n## Smuggling pairs\n\n{table}"));
        self.summarize("Proxies", &names, messages.len());
        Ok(())
    }

    /// Reads all that a proxy has forwarded. Returns the cells of its row: how many requests it has forwarded, how many
    /// of them we read as one, reject, or find unfinished; then for us and each parser the number of smuggling pairs.
    fn origins(
        &mut self,
        proxy: &Subject,
        messages: &[Vec<u8>],
        passages: &[Passage],
    ) -> io::Result<Vec<usize>> {
        let (mut forwarded, mut sources) = (Vec::new(), Vec::new());
        for (index, passage) in passages.iter().enumerate() {
            for (at, bytes) in passage.forwarded.iter().enumerate() {
                forwarded.push(bytes.clone());
                sources.push((index, goes_on(passage, at, index)));
            }
        }
        let (ours, others) = read_with_all(&mut self.parsers, &forwarded)?;
        let mut cells = vec![forwarded.len(), 0, 0, 0];
        let mut pairs = 0;
        for ((reading, bytes), (index, goes_on)) in ours.iter().zip(&forwarded).zip(&sources) {
            let message = &messages[*index];
            if is_pair(reading, bytes, *goes_on) && is_repeatable(proxy, message, *index)? {
                pairs += 1;
                let cause = causes::of_difference(Difference::Framing);
                self.differences.add(Kind::Pair, cause, &proxy.name, message);
            } else {
                let column = match &reading.end {
                    End::Idle | End::Closed(_) => 1,
                    End::Rejected(reason) => {
                        let cause = causes::of_rejection(reason);
                        self.differences.add(Kind::Refused, cause, &proxy.name, message);
                        2
                    }
                    End::Unfinished => 3,
                };
                cells[column] += 1;
            }
        }
        cells.push(pairs);
        cells.extend(others.iter().map(|readings| {
            let readings = readings.iter().zip(&forwarded).zip(&sources);
            readings.filter(|((reading, bytes), (_, goes_on))| is_pair(reading, bytes, *goes_on)).count()
        }));
        Ok(cells)
    }

    /// Compares servers by the statuses of their responses.
    ///
    /// # Errors
    ///
    /// If a server accepts no connections.
    pub fn servers(&mut self, servers: &[Subject], messages: &[Vec<u8>]) -> io::Result<()> {
        for server in servers {
            for (message, passage) in messages.iter().zip(server.send_all(messages)?) {
                let ours = http_core::read(message);
                let (served, verdict) = compare_statuses(&ours, &passage.statuses);
                count(&mut self.differences, &server.name, message, &ours, served, verdict);
            }
        }
        let names: Vec<_> = servers.iter().map(|server| server.name.clone()).collect();
        self.summarize("Servers", &names, messages.len());
        Ok(())
    }

    /// Appends the tables of these parsers, proxies or servers, each of which got `total` messages.
    fn summarize(&mut self, title: &str, names: &[String], total: usize) {
        let text = &mut self.summary;
        text.push_str(&format!("\n## {title}\n\n"));
        let columns =
            ["", "messages", "read as we do", "we are stricter", "they are stricter", "other", "**pairs**"];
        row(text, columns);
        row(text, columns.map(|column| if column.is_empty() { "---" } else { "---:" }));
        for name in names {
            let kinds = [Kind::Stricter, Kind::Laxer, Kind::Harmless, Kind::Pair];
            let counts = kinds.map(|kind| self.differences.count(kind, name));
            let same = total.saturating_sub(counts.iter().sum());
            let cells = [total, same].into_iter().chain(counts).map(|count| count.to_string());
            row(text, [name.clone()].into_iter().chain(cells));
        }
        for (kind, title) in [
            (Kind::Pair, "Smuggling pairs"),
            (Kind::Refused, "They forward, we reject"),
            (Kind::Stricter, "We reject, they accept"),
            (Kind::Laxer, "They reject, we accept"),
            (Kind::Harmless, "Both accept, without danger"),
        ] {
            let table = self.differences.table(kind, names);
            if !table.is_empty() {
                text.push_str(&format!("\n### {title}\n\n{table}"));
            }
        }
    }
}

/// Counts a verdict on a message, of which the other accepts `accepted` requests.
fn count(
    differences: &mut Differences,
    name: &str,
    message: &[u8],
    ours: &Reading,
    accepted: usize,
    verdict: Verdict,
) {
    let (kind, cause) = match verdict {
        Verdict::Same => return,
        Verdict::Stricter(reason) => (Kind::Stricter, causes::of_rejection(&reason)),
        Verdict::Laxer(reason) => (Kind::Laxer, causes::of_acceptance(message, ours, accepted, &reason)),
        Verdict::Differ(Difference::Framing) => (Kind::Pair, causes::of_difference(Difference::Framing)),
        Verdict::Differ(difference) => (Kind::Harmless, causes::of_difference(difference)),
    };
    differences.add(kind, cause, name, message);
}

/// Whether an origin with this reading of what a proxy has forwarded as one request is in danger. After CONNECT, the
/// bytes are for a tunnel, and a head says nothing about them (RFC 9110 §9.3.6).
fn is_pair(reading: &Reading, forwarded: &[u8], goes_on: bool) -> bool {
    reading.is_smuggled(goes_on) && !forwarded.starts_with(b"CONNECT ")
}

/// Whether the proxy has forwarded the probe after its connection number `at`.
fn goes_on(passage: &Passage, at: usize, index: usize) -> bool {
    let target = format!(" {} ", probe(index));
    let has_probe = |bytes: &Vec<u8>| bytes.windows(target.len()).any(|window| window == target.as_bytes());
    passage.forwarded[at + 1..].iter().any(has_probe)
}

/// Whether a smuggling pair is found again when the message is sent alone.
fn is_repeatable(proxy: &Subject, message: &[u8], index: usize) -> io::Result<bool> {
    let passage = proxy.lanes[0].send(message)?;
    let mut forwarded = passage.forwarded.iter().enumerate();
    let found =
        forwarded.any(|(at, bytes)| is_pair(&http_core::read(bytes), bytes, goes_on(&passage, at, index)));
    if !found {
        eprintln!("{}: a pair that is not found again: {}", proxy.name, message.escape_ascii());
    }
    Ok(found)
}

/// Compares our reading of a message with what a proxy has made of it. The proxy may repair a request before it
/// forwards it, and may respond to a request itself.
fn compare_passage(ours: &Reading, passage: &Passage) -> Verdict {
    let forwarded = passage.forwarded.len();
    let last = passage.statuses.last().copied().unwrap_or(0);
    let accepted = forwarded.max(passage.statuses.len() - usize::from(last >= 400));
    match (accepted.cmp(&ours.requests.len()), &ours.end) {
        _ if forwarded == accepted && !forwards_content(ours, passage) => {
            Verdict::Differ(Difference::Framing)
        }
        (Ordering::Greater, End::Rejected(reason)) => Verdict::Stricter(reason.clone()),
        // It forwards the beginning of a request that never becomes complete.
        (Ordering::Greater, End::Unfinished) if accepted == ours.requests.len() + 1 => Verdict::Same,
        (Ordering::Less, _) if last >= 400 => Verdict::Laxer(format!("status {last}")),
        (Ordering::Greater | Ordering::Less, _) => Verdict::Differ(Difference::Persistence),
        (Ordering::Equal, _) => Verdict::Same,
    }
}

/// Whether each request that the proxy has forwarded has the content that we read, if we accept it.
fn forwards_content(ours: &Reading, passage: &Passage) -> bool {
    ours.requests.iter().zip(&passage.forwarded).all(|(ours, forwarded)| {
        let forwarded = http_core::read(forwarded).requests;
        forwarded.first().is_none_or(|request| request.body == ours.body || request.method == "CONNECT")
    })
}

/// Compares our reading of a message with the statuses of a server's responses. Also returns how many requests the
/// server accepts.
fn compare_statuses(ours: &Reading, statuses: &[u16]) -> (usize, Verdict) {
    let rejection = statuses.last().filter(|status| REJECTIONS.contains(status));
    let accepted = statuses.len() - usize::from(rejection.is_some());
    let verdict = match (accepted.cmp(&ours.requests.len()), &ours.end, rejection) {
        // The server responds before it has read the content. If it accepted that, it would respond to the probe, too.
        (Ordering::Greater, End::Rejected(_) | End::Unfinished, _) if accepted == ours.requests.len() + 1 => {
            Verdict::Same
        }
        (Ordering::Greater, End::Rejected(reason), _) | (Ordering::Equal, End::Rejected(reason), None) => {
            Verdict::Stricter(reason.clone())
        }
        (Ordering::Greater, ..) => Verdict::Differ(Difference::Framing),
        (Ordering::Equal, End::Rejected(_), Some(_)) | (Ordering::Equal, _, None) => Verdict::Same,
        (_, _, Some(status)) => Verdict::Laxer(format!("status {status}")),
        (Ordering::Less, _, None) => Verdict::Differ(Difference::Persistence),
    };
    (accepted, verdict)
}
