//! Templates as honest authors write them: the toll on each operand changes nothing they write.

use super::{TOKENIZER, VOCABULARY, message, templated};
use minijinja::{Environment, context};
use mutirao_text::TextError;
use mutirao_wire::bundle::Message;
use proptest::prelude::*;
use serde_json::json;

fn talk() -> [Message; 4] {
    [
        message("system", " Be brief. "),
        message("user", "What is\n2 + 2?"),
        message("assistant", "<think>easy</think>\n\n4"),
        message("user", "And \"3\" + 3? é🦊"),
    ]
}

fn rendered(template: &str) -> Result<String, TextError> {
    templated(template).render(&talk(), None, None)
}

/// The same template without a toll.
fn untolled(template: &str) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_template("chat", template)?;
    let given = context! {
        messages => talk(), add_generation_prompt => true, bos_token => "", eos_token => "",
        tools => None::<()>,
    };
    environment.get_template("chat")?.render(given)
}

const HONEST: &[&str] = &[
    "{%- for message in messages %}\n  {{- '<|' + message.role + '|>\\n' \
     + message['content'] | trim + '\\n' -}}\n{%- endfor %}\n\
     {% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}\n",
    "{% if messages[0].role == 'system' %}{% set first = messages[0].content %}\
     {% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}\
     {% for m in rest %}{{ loop.index0 }}/{{ loop.length }} {{ m.content }}\
     {% if loop.first and first is defined %} ({{ first | trim }}){% endif %}\
     {% if not loop.last %}, {% endif %}{% endfor %}",
    "{% set ns = namespace(last=-1, seen='') %}{% for m in messages[::-1] %}\
     {% set at = (messages | length - 1) - loop.index0 %}\
     {% if ns.last < 0 and m.role == 'assistant' %}{% set ns.last = at %}{% endif %}\
     {% set ns.seen = ns.seen ~ m.role ~ ';' %}{% endfor %}{{ ns.last }} {{ ns.seen }}",
    "{% macro turn(role, text='none', end=messages | length) %}[{{ role }}]{{ text }}{{ end }}\n\
     {% endmacro %}{{ turn('user') }}{{ turn('tool', text='x', end=0) }}\
     {% for m in messages %}{{ turn(m.role, m.content) }}{% endfor %}",
    "{% for m in messages if m.role in ['user', 'tool'] %}{{ m.content }}{% else %}none\
     {% endfor %}|{{ messages | map(attribute='role') | join(', ') }}|\
     {{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
    "{% set users = messages | rejectattr('role', 'equalto', 'user') | list %}\
     {{ users | length }}{{ (users | first).role }}{{ users | map(attribute='role') | sort }}",
    "{% set box %}a{{ messages[0].role }}\n{% endset %}{{ box ~ box }}{{ box | upper }}",
    "{{ {'a': [1, 2.5, true, none], 'b': {'c': 'd'}} }} {{ [] }} {{ (1, 2) }}",
    "{{ 7 // 2 }} {{ 7 % 3 }} {{ 2 ** 10 }} {{ -3 + 1 - 2 }} {{ -(1 | abs) }} \
     {{ 3 * 4 / 2 }} {{ 1 < 2 < 3 }}",
    "{{ 'yes' if messages and not tools else 'no' }}{{ tools is none }}{{ tools is not none }}",
    "{{ missing }}{{ missing is defined }}{{ missing | default('d') }}{{ messages is iterable }}",
    "{{ 'a b c' | replace('b', \"'\") }}{{ 'x' in 'xyz' }}{{ 'q' not in 'xyz' }}{{ '%}' ~ '{{' }}",
    "{% for k, v in {'one': 1, 'two': 2} | items %}{{ k }}={{ v }} {% endfor %}",
    "{% for k, v in {'one': 1, 'two': 2} | dictsort %}{{ k }}={{ v }} {% endfor %}",
    "{% for a in range(3) recursive %}{{ a }}{% endfor %}{# nothing #}\n  \
     {% raw %}{{ x }}{% endraw %}",
    "{{ range(2, 9, 3) | list }}{{ 'abc'[1] }}{{ 'abcdef'[1:-1:2] }}{{ messages[-1]['role'] }}",
    "{% if messages | length > 9 %}a{% elif messages[1].role == 'user' %}b{% elif x %}c{% else %}d\
     {% endif %}\n\n  {%- if true -%} \n tight \n {%- endif %}  loose  ",
    "line\n    {% if true %}\nindented\n    {% endif %}\nend\n",
    "{{ dict(a=1, b='x') }}{{ 'a,b' | split(',') }}{{ [3, 1, 2] | max }}{{ '1' | int + 1 }}",
    "{{ 'one' }}{{- ' two' -}} three {{ 1e3 }} {{ 10000000000 }} {{ 'a\\u00e9\\n\\'\\\"\\\\' }}",
];

#[test]
fn honest_templates_write_what_they_write_without_a_toll() {
    for template in HONEST {
        let plain = untolled(template).expect(template);
        assert_eq!(rendered(template).expect(template), plain, "{template}");
    }
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(
        &[
            "messages",
            "messages[0]",
            "messages[1].content",
            "'a'",
            "\"b'\"",
            "1",
            "2.5",
            "true",
            "none",
            "missing",
            "[1, 'x']",
            "{'k': 'v'}",
            "range(3)",
            "messages[2]['role']",
        ][..],
    )
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let sign = prop::sample::select(
            &["+", "~", "-", "*", "%", "//", "==", "!=", "<", "in", "not in", "and", "or"][..],
        );
        let after = prop::sample::select(
            &[
                " | length",
                " | upper",
                " | list",
                " | first",
                " | trim",
                " | string",
                ".role",
                "[0]",
                "[1:]",
                "[::-1]",
                " is defined",
                " is string",
                " is mapping",
                " is none",
                " | default('d')",
                " | sort",
                " | unique | list",
                " | reverse",
                " | last",
            ][..],
        );
        prop_oneof![
            (inner.clone(), sign.clone(), inner.clone())
                .prop_map(|(a, s, b)| format!("{a} {s} {b}")),
            (inner.clone(), sign, inner.clone()).prop_map(|(a, s, b)| format!("({a} {s} {b})")),
            (inner.clone(), after).prop_map(|(a, after)| format!("{a}{after}")),
            inner.clone().prop_map(|a| format!("not {a}")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.clone().prop_map(|a| format!("[{a}]")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
        ]
    })
}

proptest! {
    #[test]
    fn an_expression_means_the_same_with_a_toll(expression in expression()) {
        let template = format!("{{{{ {expression} }}}}|{{% set x = {expression} %}}{{{{ x }}}}");
        let stack = mutirao_text::TextStack::new(TOKENIZER, template.as_bytes(), VOCABULARY);
        let tolled = stack.and_then(|stack| stack.render(&talk(), None, None));
        match (untolled(&template), tolled) {
            (Ok(plain), Ok(tolled)) => prop_assert_eq!(plain, tolled),
            (Err(_), Err(_)) => {}
            (Ok(_), Err(refused)) => {
                let said = refused.to_string();
                prop_assert!(said.contains("computes with numbers"), "{said}");
            }
            (Err(plain), Ok(tolled)) => prop_assert!(false, "{plain}, but {tolled}"),
        }
    }
}

#[test]
fn methods_and_filters_of_python_do_as_there() {
    let said = |expression: &str| rendered(&format!("{{{{ {expression} }}}}")).expect(expression);
    assert_eq!(said("messages[2].content.split('</think>')[-1].lstrip('\\n')"), "4");
    assert_eq!(said("' xax '.strip().strip('x')"), "a");
    assert_eq!(said("'a-b-c'.split('-', 1)"), "[\"a\", \"b-c\"]");
    assert_eq!(said("'aXbX'.replace('X', '--')"), "a--b--");
    assert_eq!(said("'aXbX'.replace('X', '', 1)"), "abX");
    assert_eq!(said("'abc'.startswith('ab') and not 'abc'.endswith('ab')"), "True");
    assert_eq!(said("messages[0].get('role') ~ messages[0].get('name', '?')"), "system?");
    assert_eq!(said("'a\\n\\nb\\nc' | indent"), "a\n\n    b\n    c");
    assert_eq!(said("'a\\n\\nb' | indent(2, true)"), "  a\n\n  b");
    assert_eq!(said("'a\\n\\nb' | indent(width=1, first=true, blank=true)"), " a\n \n b");
    assert_eq!(said("[1, 'x', none] | join"), "1xNone");
    assert_eq!(said("[1, 'x'] | join('-')"), "1-x");
    assert_eq!(said("messages | join('-', attribute='role')"), "system-user-assistant-user");
    assert_eq!(said("messages | join(attribute='role', d='-')"), "system-user-assistant-user");
}

#[test]
fn json_is_spaced_as_models_were_trained_to_see_it() {
    let tools = json!([{ "name": "add", "of": [1, 2], "none": {} }]);
    // A template that does not know the tags of calls would not be shown the tools.
    let templated = |template: &str| templated(&format!("{{# <tool_call> #}}{template}"));
    let said = |template| templated(template).render(&[], Some(&tools), None).expect("rendered");
    assert_eq!(said("{{ tools | tojson }}"), r#"[{"name": "add", "none": {}, "of": [1, 2]}]"#);
    assert_eq!(
        said("{{ tools[0] | tojson(indent=4) }}"),
        "{\n    \"name\": \"add\",\n    \"none\": {},\n    \"of\": [\n        1,\n\
         \x20       2\n    ]\n}"
    );
    let error = templated("{{ tools | tojson(indent=1000000) }}").render(&[], Some(&tools), None);
    assert!(error.expect_err("refused").to_string().contains("indents by 1000000"));
}

#[test]
fn a_template_without_a_date_falls_back_to_its_own() {
    let template = "{% if date_string is defined %}{{ date_string }}\
                    {% elif strftime_now is defined %}{{ strftime_now('%d %b %Y') }}\
                    {% else %}26 Jul 2024{% endif %}";
    assert_eq!(rendered(template).expect("rendered"), "26 Jul 2024");
    let dated = templated(template).render(&talk(), None, Some("2026-11-23"));
    assert_eq!(dated.expect("rendered"), "2026-11-23");
    let error = rendered("{{ strftime_now('%Y') }}").expect_err("no clock").to_string();
    assert!(error.contains("strftime_now"), "{error}");
    let said =
        templated("{{ strftime_now('%d %b %Y, %B %m') }}").render(&[], None, Some("2026-02-03"));
    assert_eq!(said.expect("rendered"), "03 Feb 2026, February 02");
}

#[test]
fn what_is_not_offered_is_refused_by_name() {
    for (template, word) in [
        ("{{ 'x' | pprint }}", "\"pprint\""),
        ("{{ [1] | map('replace', 'a', 'b') }}", "map"),
        ("{% filter upper %}x{% endfilter %}", "statement"),
        ("{% block a %}x{% endblock %}", "statement"),
        ("{% include 'x' %}", "statement"),
        ("{{ f(*messages) }}", "spreads"),
    ] {
        let stack = mutirao_text::TextStack::new(TOKENIZER, template.as_bytes(), VOCABULARY);
        let error = stack.expect_err(template);
        assert!(matches!(error, TextError::Template { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}
