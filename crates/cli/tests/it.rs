//! The program as a person meets it: each command, and each way to get it wrong.

#[path = "it/chain.rs"]
mod chain;
#[path = "it/eval.rs"]
mod eval;
#[path = "it/import.rs"]
mod import;
#[path = "it/launch.rs"]
mod launch;
#[path = "it/pull.rs"]
mod pull;
#[path = "it/push.rs"]
mod push;
#[path = "it/trials.rs"]
mod trials;
#[path = "it/wallet.rs"]
mod wallet;
#[path = "it/worker.rs"]
mod worker;

use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Bytes of all files in a folder, and in those within.
fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size_of(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// A home of its own, gone afterwards.
struct Person {
    home: tempfile::TempDir,
}

impl Person {
    fn new() -> Self {
        Self { home: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mutirao"));
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("MUTIRAO_RUN_ON_BATTERIES", "true")
            .env("MUTIRAO_LOOK_ON_LAN", "false")
            .args(words)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the program starts")
    }

    /// Succeeds and gives its last line as JSON.
    fn json(&self, words: &[&str]) -> Value {
        let output = self.run(&[words, &["--json"]].concat());
        let (out, errors) = texts(&output);
        assert!(output.status.success(), "{words:?}: {out}{errors}");
        serde_json::from_str(out.lines().last().expect("a line")).expect("JSON")
    }

    /// Fails with exit code `code`; what it says on both outputs.
    fn refused(&self, words: &[&str], code: i32) -> String {
        let output = self.run(words);
        let (out, errors) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {out}{errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        format!("{out}{errors}")
    }

    /// Starts the program and kills it as soon as `is_time`, which comes before it ends.
    fn killed(&self, words: &[&str], is_time: impl Fn() -> bool) {
        let mut command = self.command(words);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = quiet.spawn().expect("it starts");
        let began = Instant::now();
        while !is_time() {
            assert!(began.elapsed() < Duration::from_secs(100), "the time does not come");
            assert!(process.try_wait().expect("asked").is_none(), "it was too fast to be killed");
            std::thread::sleep(Duration::from_millis(1));
        }
        process.kill().expect("killed");
        process.wait().expect("gone");
    }

    fn receipt(&self) -> PathBuf {
        let path = self.path("receipt.json");
        let name = path.to_str().expect("a name").to_owned();
        self.json(&["run", "village", "What is 17 + 25?", "--receipt", &name]);
        path
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn name(path: &Path) -> &str {
    path.to_str().expect("a name")
}

#[test]
fn without_a_word_it_says_how_to_begin() {
    let person = Person::new();
    let output = person.run(&[]);
    assert!(output.status.success());
    assert!(texts(&output).0.contains("mutirao run village"));
    assert_eq!(std::fs::read_dir(person.home.path()).expect("listed").count(), 0);
}

#[test]
fn one_question_gives_an_answer_one_line_about_it_and_a_receipt_that_verifies() {
    let person = Person::new();
    let output = person.run(&["run", "village", "What is 17 + 25?", "--watts", "60"]);
    let (out, errors) = texts(&output);
    assert!(output.status.success(), "{errors}");
    for word in ["tokens/s", "first after", " J (", "by ", "receipt ", "computed here"] {
        assert!(out.contains(word), "{word}: {out}");
    }
    let receipt = person.receipt();
    let verdict = person.json(&["verify", name(&receipt)]);
    assert_eq!(verdict["holds"], true);
}

#[test]
fn the_energy_of_an_answer_is_said_with_how_it_is_known_and_else_that_it_is_not() {
    let person = Person::new();
    let ask = ["run", "village", "What is 17 + 25?"];
    let with = person.json(&[&ask[..], &["--watts", "60"]].concat());
    let source = with["energy"]["source"].as_str().expect("a source").to_owned();
    assert!(["rapl", "configured"].contains(&source.as_str()), "{with}");
    assert!(with["energy"]["joules"].as_f64().expect("a figure") >= 0.0);
    let status = person.json(&["status", "--watts", "60"]);
    assert_eq!(status["energy"], source.as_str());
    // Where the processor tells, it does so without any watts.
    if source == "configured" {
        assert!(person.json(&ask)["energy"].is_null());
        assert!(texts(&person.run(&ask)).0.contains("energy not measured"));
        assert!(texts(&person.run(&["status"])).0.contains("not measured"));
    }
}

#[test]
fn the_same_question_has_the_same_answer_on_any_number_of_threads_and_from_standard_input() {
    let person = Person::new();
    let asked = "Tell me a story about a fox and a bell.";
    let one = person.json(&["run", "village", asked, "--threads", "1"]);
    let two = person.json(&["run", "village", asked, "--threads", "2"]);
    assert_eq!(one["answer"], two["answer"]);
    assert!(one["tokens"].as_u64() >= Some(40), "{one}");

    let mut child = person
        .command(&["run", "village", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(asked.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let piped: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(piped["answer"], one["answer"]);
}

#[test]
fn an_empty_prompt_is_refused_with_the_way_to_say_one() {
    let person = Person::new();
    for words in [&["run", "village"][..], &["run"], &["run", "village", " "]] {
        assert!(person.refused(words, 1).contains("standard input"), "{words:?}");
    }
}

#[test]
fn a_seeded_sample_is_repeated_by_its_seed() {
    let person = Person::new();
    let draw = |seed: &str| {
        let words = [
            "run",
            "village",
            // Of what it was taught the model is too sure to say anything else.
            "Tell me a long tale of hens and 7 kings",
            "--temperature",
            "2",
            "--seed",
            seed,
        ];
        person.json(&words)["answer"].as_str().expect("text").to_owned()
    };
    assert_eq!(draw("7"), draw("7"));
    assert!((8..16).any(|seed| draw(&seed.to_string()) != draw("7")));
}

#[test]
fn ls_show_status_and_doctor_say_what_is_here() {
    let person = Person::new();
    assert!(person.json(&["ls"]).to_string().contains("village"));
    let shown = person.json(&["show", "village"]);
    assert_eq!(shown["model_id"].as_str().map(str::len), Some(64));
    let status = person.json(&["status"]);
    assert_eq!(status["receipts"], 0);
    let doctor = person.json(&["doctor"]);
    assert!(doctor.as_object().expect("checks").values().all(|check| check["passed"] == true));
}

#[test]
fn keys_are_the_owners_alone_and_exposed_ones_are_refused_with_the_cure() {
    let person = Person::new();
    person.json(&["status"]);
    let keys = person.path(".local/share/mutirao/keys");
    let mut seen = 0;
    for entry in std::fs::read_dir(&keys).expect("keys").flatten() {
        let mode = entry.metadata().expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
        std::fs::set_permissions(entry.path(), PermissionsExt::from_mode(0o644)).expect("opened");
        seen += 1;
    }
    assert!(seen > 0);
    assert!(person.refused(&["status"], 1).contains("chmod 600"));
}

#[test]
fn an_unknown_model_is_refused_with_the_way_to_the_list() {
    let person = Person::new();
    assert!(person.refused(&["run", "lhama", "hello"], 1).contains("mutirao ls"));
    assert!(person.refused(&["show", "lhama"], 1).contains("mutirao ls"));
}

#[test]
fn a_forged_a_cut_and_a_missing_receipt_are_refused_and_say_why() {
    let person = Person::new();
    let receipt = person.receipt();
    let text = std::fs::read_to_string(&receipt).expect("a receipt");
    let mut json: Value = serde_json::from_str(&text).expect("JSON");
    let token = json["opening"]["answer"][2].as_u64().expect("a token");
    json["opening"]["answer"][2] = (token ^ 1).into();
    std::fs::write(&receipt, json.to_string()).expect("written");
    assert!(person.refused(&["verify", name(&receipt)], 3).contains("commitment: the answer"));

    std::fs::write(&receipt, &text[..text.len() / 2]).expect("written");
    assert!(person.refused(&["verify", name(&receipt)], 1).contains("not a bundle"));
    std::fs::remove_file(&receipt).expect("removed");
    assert!(person.refused(&["verify", name(&receipt)], 1).contains("cannot read"));
}

#[test]
fn settings_that_make_no_sense_are_named_with_their_place() {
    let person = Person::new();
    let why = person.refused(&["status", "--threads", "many"], 1);
    assert!(why.contains("threads") && why.contains("command line"), "{why}");
    let config = person.path(".config/mutirao");
    std::fs::create_dir_all(&config).expect("a directory");
    let file = config.join("config.toml");
    for (content, word) in
        [("privacy = \"secret\"", "local, circle, open"), ("speed = 3", "speed"), ("= =", "TOML")]
    {
        std::fs::write(&file, content).expect("written");
        let why = person.refused(&["status"], 1);
        assert!(why.contains(word), "{why}");
    }
    std::fs::remove_file(&file).expect("removed");
    std::fs::create_dir(&file).expect("a directory in its place");
    assert!(person.refused(&["status"], 1).contains("config.toml"));
}

#[test]
fn a_broken_ticket_and_an_empty_circle_say_what_to_do() {
    let person = Person::new();
    assert!(person.refused(&["join", "mutirao1nonsense"], 1).contains("ticket"));
    let why = person.refused(&["run", "--privacy", "circle", "hello there"], 1);
    assert!(why.contains("mutirao join"), "{why}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let person = Person::new();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let why = person.refused(&["provide", "--listen", &address], 1);
    assert!(why.contains(&address), "{why}");
    let why = person.refused(&["provide", "--discoverable"], 1);
    assert!(why.contains("--listen 0.0.0.0:0"), "who wants to be found can be reached: {why}");
}

/// A copy of the shipped model, to be damaged.
fn model(person: &Person) -> PathBuf {
    let copy = person.path("model");
    std::fs::create_dir(&copy).expect("a directory");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/village");
    for entry in std::fs::read_dir(shipped).expect("the model").flatten() {
        std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("copied");
    }
    copy
}

#[test]
fn a_model_directory_answers_like_the_embedded_one_and_damaged_files_are_clear_errors() {
    let person = Person::new();
    let folder = model(&person);
    let ask = ["run", name(&folder), "What is 17 + 25?"];
    let embedded = person.json(&["run", "village", "What is 17 + 25?"]);
    assert_eq!(person.json(&ask)["answer"], embedded["answer"]);

    for file in ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"] {
        let path = folder.join(file);
        let whole = std::fs::read(&path).expect("a file");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("cut");
        let why = person.refused(&ask, 1);
        assert!(why.contains("model"), "{file}: {why}");
        std::fs::write(&path, whole).expect("restored");
    }
    let endless =
        "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
    std::fs::write(folder.join("chat_template.jinja"), endless).expect("written");
    assert!(person.refused(&ask, 1).contains("template"));
    std::fs::remove_file(folder.join("chat_template.jinja")).expect("removed");
    std::fs::remove_file(folder.join("tokenizer_config.json")).expect("removed");
    assert!(person.refused(&ask, 1).contains("chat template"));
}

#[test]
fn a_prompt_beyond_the_context_is_refused_with_both_numbers() {
    let person = Person::new();
    let why = person.refused(&["run", "village", &"word ".repeat(5_000)], 1);
    assert!(why.contains("2048"), "{why}");
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let person = Person::new();
    let mut child = person
        .command(&["doctor"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(!texts(&output).1.contains("panicked"), "{}", texts(&output).1);
}
