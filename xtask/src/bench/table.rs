//! Measurements, their medians, and the ratios within a round.

use anyhow::Context as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Who stands beside whom. Q8_0 and Q4_0 are llama.cpp's.
const PAIRS: [(&str, &str); 4] =
    [("w8", "Q8_0"), ("w4", "Q4_0"), ("w8", "candle Q8_0"), ("w4", "candle Q4_0")];

/// What was measured: threads, what was done (`prefill 128`), by whom.
type Key = (usize, String, String);

/// Figures by round.
#[derive(Debug, Default)]
pub struct Table {
    /// Seconds a token (or in all) of the wall and of the processor.
    seconds: BTreeMap<Key, BTreeMap<usize, [f64; 2]>>,
    /// Megabytes.
    peaks: BTreeMap<(usize, String), u64>,
    /// Bytes that one step of decoding reads.
    weights: BTreeMap<String, u64>,
}

impl Table {
    /// Notes one line of a program's output.
    pub fn add(
        &mut self,
        round: usize,
        threads: usize,
        name: &str,
        line: &str,
    ) -> anyhow::Result<()> {
        let value: Value =
            serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        let what = value["what"].as_str().context("what was measured")?;
        if let Some(megabytes) = value["megabytes"].as_u64() {
            let peak = self.peaks.entry((threads, name.to_owned())).or_default();
            *peak = megabytes.max(*peak);
            return Ok(());
        }
        if let Some(bytes) = value["bytes"].as_u64() {
            self.weights.insert(name.to_owned(), bytes);
            return Ok(());
        }
        let tokens = value["tokens"].as_u64().context("tokens")?;
        let what = if what == "prefill" { format!("prefill {tokens}") } else { what.to_owned() };
        let seconds = ["wall", "processor"].map(|clock| value[clock].as_f64());
        let [Some(wall), Some(processor)] = seconds else { anyhow::bail!("no seconds: {line}") };
        let each = tokens.max(1) as f64;
        let rounds = self.seconds.entry((threads, what, name.to_owned())).or_default();
        rounds.insert(round, [wall / each, processor / each]);
        Ok(())
    }

    /// Two tables: speed, then opening and memory.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let head = "| threads | | ours | beside | ours tok/s | theirs tok/s | by the wall | \
                    by the processor |\n|---|---|---|---|---|---|---|---|";
        _ = writeln!(out, "{head}");
        for (threads, what, _) in self.seconds.keys().filter(|(_, _, name)| name == "w8") {
            for (ours, theirs) in PAIRS.iter().filter(|_| what != "open") {
                if self.seconds.contains_key(&(*threads, what.clone(), (*theirs).to_owned())) {
                    _ = writeln!(out, "{}", self.row(*threads, what, ours, theirs));
                }
            }
        }
        _ = writeln!(out, "\n| | threads | opening ms | peak MB |\n|---|---|---|---|");
        for ((threads, name), peak) in &self.peaks {
            let open = self.median(&(*threads, "open".to_owned(), name.clone()), 0) * 1e3;
            _ = writeln!(out, "| {name} | {threads} | {open:.0} | {peak} |");
        }
        for ((threads, what, _), _) in self.seconds.iter().filter(|(key, _)| key.1 == "read") {
            let key = (*threads, what.clone(), "memory".to_owned());
            let read = 1.0 / self.median(&key, 0);
            _ = writeln!(out, "\nReading memory, {threads} threads: {read:.1} GB/s");
            for (name, bytes) in &self.weights {
                let step = self.median(&(*threads, "decode".to_owned(), name.clone()), 0);
                let (speed, share) =
                    (*bytes as f64 / step / 1e9, *bytes as f64 / step / read / 1e7);
                _ = writeln!(out, "decode {name}: {speed:.1} GB/s of weights, {share:.0} % of it");
            }
        }
        out
    }

    fn row(&self, threads: usize, what: &str, ours: &str, theirs: &str) -> String {
        let key = |name: &str| (threads, what.to_owned(), name.to_owned());
        let (left, right) = (key(ours), key(theirs));
        let speed = |key: &Key| 1.0 / self.median(key, 0);
        let [left_speed, right_speed] = [speed(&left), speed(&right)];
        let [wall, processor] = [0, 1].map(|clock| self.ratio(&left, &right, clock));
        let names = format!("| {threads} | {what} | {ours} | {theirs} ");
        format!("{names}| {left_speed:.1} | {right_speed:.1} | {wall:.2} | {processor:.2} |")
    }

    fn median(&self, key: &Key, clock: usize) -> f64 {
        let rounds = self.seconds.get(key);
        middle(rounds.into_iter().flatten().map(|(_, seconds)| seconds[clock]).collect())
    }

    /// How much faster the first is, round by round.
    fn ratio(&self, ours: &Key, theirs: &Key, clock: usize) -> f64 {
        let (Some(ours), Some(theirs)) = (self.seconds.get(ours), self.seconds.get(theirs)) else {
            return f64::NAN;
        };
        let ratio =
            |(round, ours): (&usize, &[f64; 2])| Some(theirs.get(round)?[clock] / ours[clock]);
        middle(ours.iter().filter_map(ratio).collect())
    }
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_those_within_a_round() {
        let mut table = Table::default();
        for (round, ours, theirs) in [(0, 1.0, 2.0), (1, 10.0, 15.0), (2, 2.0, 8.0)] {
            let line = |wall: f64| {
                format!(r#"{{"what":"prefill","tokens":2,"wall":{wall},"processor":{wall}}}"#)
            };
            table.add(round, 1, "w8", &line(ours)).unwrap_or_else(|error| panic!("{error}"));
            table.add(round, 1, "Q8_0", &line(theirs)).unwrap_or_else(|error| panic!("{error}"));
        }
        let row = table.row(1, "prefill 2", "w8", "Q8_0");
        assert_eq!(row, "| 1 | prefill 2 | w8 | Q8_0 | 1.0 | 0.2 | 2.00 | 2.00 |");
        assert!(table.add(0, 1, "w8", "no json").is_err());
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        assert_eq!(middle(vec![4.0, 1.0, 2.0, 8.0]), 3.0);
        assert!(middle(vec![]).is_nan());
    }
}
