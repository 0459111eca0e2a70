//! Programs that are started beside a door of their own.

use super::{Person, texts};
use std::os::unix::fs::PermissionsExt;

/// What stands where a program would: it asks the door that it was told of.
const PROGRAM: &str = r#"#!/bin/sh
printf '%s\n' "$*" "$OPENAI_MODEL" "$OPENCODE_CONFIG_CONTENT"
python3 - <<'END'
import json, os, urllib.request
said = [{"role": "user", "content": "What is 2 + 2?"}]
ask = {"model": os.environ["OPENAI_MODEL"], "messages": said}
request = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(ask).encode(),
    {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})
print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
END
exit 7
"#;

#[test]
fn a_launched_program_finds_the_door_and_its_end_is_ours() {
    let person = Person::new();
    let program = person.path("opencode");
    std::fs::write(&program, PROGRAM).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = person.command(&["launch", "opencode", "run", "--fast"]);
    let path = format!("{}:{path}", person.home.path().display());
    let output = command.env("PATH", path).output().expect("it ran");
    let (out, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(7), "{out}{errors}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["run --fast", "village"], "{out}{errors}");
    assert!(lines[2].contains("mutirao/village") && lines[2].contains("127.0.0.1"), "{out}");
    assert_eq!(lines[3], "2 + 2 = 4", "{out}{errors}");
}

#[test]
fn any_command_is_launched_and_one_that_is_not_there_is_named() {
    let person = Person::new();
    let output = person.run(&["launch", "--", "/bin/sh", "-c", "echo $OLLAMA_HOST"]);
    assert!(texts(&output).0.starts_with("http://127.0.0.1:"), "{:?}", texts(&output));
    let said = person.refused(&["launch", "no-such-program"], 1);
    assert!(said.contains("no-such-program") && said.contains("installed"), "{said}");
    let said = person.refused(&["launch"], 1);
    assert!(said.contains("opencode"), "{said}");
}

#[test]
fn what_a_program_would_be_told_can_be_seen() {
    let person = Person::new();
    // Behind the program every word is its own.
    let output = person.run(&["--json", "launch", "--config", "codex", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["words"].as_array().and_then(|words| words.last()), Some(&"--json".into()));
    assert_eq!(told["program"], "codex");
    assert!(told["variables"]["OPENAI_API_KEY"].is_string(), "{told}");
}
