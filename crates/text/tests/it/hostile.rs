//! Tokenizers and templates from a stranger: refused or bounded, never a panic, never a hang.

use super::{TEMPLATE, TOKENIZER, VOCABULARY, message, templated, village};
use mutirao_text::{TextError, TextStack};
use proptest::prelude::*;

/// Renders a hostile template; that this comes back at all is what fuel is for.
fn rendered(template: &str) -> Result<String, TextError> {
    let stack = TextStack::new(TOKENIZER, template.as_bytes(), VOCABULARY)?;
    stack.render(&[message("user", "hello")], None, None)
}

#[test]
fn templates_that_run_for_ever_run_out_of_fuel() {
    let templates = [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{% macro again() %}{{ again() }}{{ again() }}{% endmacro %}{{ again() }}",
        "{% for a in range(10 ** 9) %}x{% endfor %}",
    ];
    for template in templates {
        let error = rendered(template).expect_err("it ends");
        assert!(matches!(error, TextError::Render { .. } | TextError::Template { .. }), "{error}");
    }
}

/// Each of these took the process with it, by its memory, its stack or its patience, while fuel
/// alone was counted: one instruction may double a text, and a tree may be deeper than the stack.
#[test]
fn bombs_without_many_instructions_end_too() {
    let nested = |open: &str, close: &str, count| {
        format!("{{{{ {}1{} }}}}", open.repeat(count), close.repeat(count))
    };
    let ns = "{% set ns = namespace(a='x', l=[]) %}";
    let bombs = [
        format!("{ns}{{% for i in range(40) %}}{{% set ns.a = ns.a ~ ns.a %}}{{% endfor %}}"),
        format!("{ns}{{% for i in range(40) %}}{{% set ns.a = ns.a + ns.a %}}{{% endfor %}}"),
        format!("{ns}{{% for i in range(40) %}}{{% set ns.l = [ns.l, ns.l] %}}{{% endfor %}}"),
        format!("{ns}{{% for i in range(40) %}}{{% set ns.l = ns.l + [1] + ns.l %}}{{% endfor %}}"),
        format!("{ns}{{% for i in range(9999) %}}{{% set ns.l = [ns.l] %}}{{% endfor %}}"),
        format!("{ns}{{% set ns.a = ns %}}{{{{ ns }}}}"),
        format!("{ns}{{{{ [ns] | tojson }}}}"),
        "{% set a = 'x' %}".to_owned() + &"{% set a = a ~ a %}".repeat(40),
        "{% macro m(a) %}{{ m(a ~ a) }}{% endmacro %}{{ m('xxxxxxxx') }}".to_owned(),
        "{% set a %}{% for i in range(99999) %}".to_owned()
            + &"y".repeat(100_000)
            + "{% endfor %}{% endset %}",
        "{% for i in range(99999) %}{% set x = range(99999) | list | sort %}{% endfor %}".into(),
        "{% for i in range(99999) %}{% if i in range(99999) | list %}{% endif %}{% endfor %}"
            .into(),
        "{{ 'x' * 100000000 }}".into(),
        "{{ ([1] * 1000000000) | list }}".into(),
        "{{ ([1] * (2 ** 62) * 4) | list }}".into(),
        "{{ 'x' | indent(10000000000, true) }}".into(),
        "{{ 'a' | indent(width=10000000000, first=true) }}".into(),
        "{{ '%9999999999d' | format(1) }}".into(),
        "{{ range(9) | batch(9999999999, 'x') | list }}".into(),
        "{{ range(9) | slice(9999999999) | list }}".into(),
        "{{ (range(99999) | join('y')) | replace('y', range(99999) | join('z')) }}".into(),
        "{{ (range(99999) | join('y')).replace('y', range(99999) | join('z')) }}".into(),
        "{{ range(99999) | map('replace', '', range(99999) | join) | list }}".into(),
        "{{ range(99999) | select('in', range(99999) | list) | list }}".into(),
        "{{ debug() }}{{ raise_exception('so far') }}".into(),
        format!("{{{{ a{} }}}}", "~a".repeat(60_000)),
        format!("{{{{ a{} }}}}", "|e".repeat(60_000)),
        format!("{{{{ a{} }}}}", ".b".repeat(60_000)),
        format!("{{{{ {}a }}}}", "not ".repeat(60_000)),
        format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(15_000)),
        format!("{}{}", "{% if a %}".repeat(9_000), "{% endif %}".repeat(9_000)),
        nested("[", "]", 100_000),
        nested("(", ")", 100_000),
    ];
    for bomb in bombs {
        let name: String = bomb.chars().take(90).collect();
        let error = rendered(&bomb).map(|text| text.len()).expect_err(&name);
        let known = matches!(error, TextError::Render { .. } | TextError::Template { .. });
        assert!(known && !error.to_string().contains("panicked"), "{name}: {error}");
    }
}

#[test]
fn the_longest_chains_and_branches_fit_the_stack() {
    for template in [
        format!("{{{{ a{} }}}}", "~a".repeat(500)),
        format!("{{{{ a{} }}}}", " and a".repeat(500)),
        format!("{{{{ a{} }}}}", "|e".repeat(500)),
        format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(250)),
    ] {
        assert_eq!(rendered(&template).expect("rendered"), "");
    }
    let deep = format!("{{{{ a{} }}}}", ".b".repeat(500));
    rendered(&deep).expect_err("of nothing there is no part");
}

#[test]
fn an_error_names_the_line_of_the_author() {
    let error = rendered("one\n{% if true %}\n{{ raise_exception('three') }}{% endif %}");
    let said = error.expect_err("refused").to_string();
    assert!(said.contains("three") && said.contains(":3"), "{said}");
}

#[test]
fn a_long_conversation_is_within_the_purse() {
    let stack = village();
    let talk: Vec<_> = (0..4_096)
        .map(|at| message(if at % 2 == 0 { "user" } else { "assistant" }, &"word ".repeat(350)))
        .collect();
    let text = stack.render(&talk, None, None).expect("seven million letters");
    assert!(text.len() > 7_000_000);
}

#[test]
fn templates_reach_no_file_no_other_template_and_no_environment() {
    let templates = [
        "{% include '/etc/passwd' %}",
        "{% import 'other' as other %}",
        "{% extends 'base' %}",
        "{{ self.__class__.__mro__ }}",
        "{{ ''.__class__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.environ }}",
        "{{ open('/etc/passwd').read() }}",
    ];
    for template in templates {
        let said = rendered(template);
        assert!(said.is_err() || said.is_ok_and(|text| text.trim().is_empty()), "{template}");
    }
}

#[test]
fn a_template_says_in_its_own_words_why_it_refuses() {
    let error = rendered("{{ raise_exception('roles must alternate') }}").expect_err("refused");
    assert!(error.to_string().contains("roles must alternate"), "{error}");
    let error = rendered("{% if %}").expect_err("no template");
    assert!(matches!(error, TextError::Template { .. }), "{error}");
}

#[test]
fn a_template_or_tokenizer_that_is_too_large_or_no_text_is_refused() {
    let stack = |tokenizer: &[u8], template: &[u8]| {
        TextStack::new(tokenizer, template, VOCABULARY).expect_err("refused")
    };
    assert!(matches!(stack(TOKENIZER, &[0xff, 0xfe]), TextError::Template { .. }));
    let long = vec![b' '; 64 << 20];
    assert!(matches!(stack(TOKENIZER, &long), TextError::TooLong { .. }));
    let long = vec![b' '; (64 << 20) + 1];
    assert!(matches!(stack(&long, TEMPLATE), TextError::TooLong { .. }));
    for junk in [&b""[..], b"{}", b"[]", b"null", b"{\"model\":{}}"] {
        assert!(matches!(stack(junk, TEMPLATE), TextError::Tokenizer { .. }));
    }
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_is_refused() {
    let error = TextStack::new(TOKENIZER, TEMPLATE, VOCABULARY - 1).expect_err("one too many");
    assert!(matches!(error, TextError::Tokenizer { .. }), "{error}");
}

#[test]
fn a_tokenizer_cut_anywhere_is_an_error() {
    for length in (0..TOKENIZER.len() - 2).step_by(1_337) {
        TextStack::new(&TOKENIZER[..length], TEMPLATE, VOCABULARY).expect_err("cut");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_tokenizer_with_changed_bytes_is_refused_or_works_and_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = TOKENIZER.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(stack) = TextStack::new(&bytes, TEMPLATE, VOCABULARY) {
            let prompt = stack.prompt(&[message("user", "What is 17 + 25?")], None, None);
            if let Ok(prompt) = prompt {
                prop_assert!(prompt.iter().all(|token| token.0 < VOCABULARY));
                let _ = stack.decode(&prompt);
            }
        }
    }

    #[test]
    fn a_template_of_random_pieces_never_panics(
        pieces in proptest::collection::vec(
            prop::sample::select(&["{{", "}}", "{%", "%}", " for a in messages ", " endfor ",
                " if ", " endif ", "messages[0]", ".content", "'", "x", " | ", "tojson", "range(3)",
                "+", "(", ")", "set a = ", " - "][..]),
            0..14,
        ),
    ) {
        let template = pieces.concat();
        if let Ok(stack) = TextStack::new(TOKENIZER, template.as_bytes(), VOCABULARY) {
            let _ = stack.render(&[message("user", "hello")], None, None);
        }
    }
}

#[test]
fn the_shipped_template_is_not_hostile() {
    let stack = templated(std::str::from_utf8(TEMPLATE).expect("text"));
    stack.render(&[message("user", "hello")], None, None).expect("rendered");
}
