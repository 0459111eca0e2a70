//! What a person is told when there is no answer, and what a lie leads to.

use super::*;

#[test]
fn a_prompt_beyond_the_context_is_refused_before_anybody_sees_it() {
    let place = Place::new();
    let node = place.node("one", |_| {});
    let long = "word ".repeat(5_000);
    let error =
        runtime().block_on(node.ask(&question(&long, 8), &mut |_| {})).expect_err("too long");
    assert!(matches!(error, AskError::PromptTooLong { .. }), "{error}");
    assert!(error.to_string().contains("2048"), "{error}");
}

#[test]
fn an_unknown_model_an_empty_circle_and_a_vanished_peer_are_clear_errors() {
    let place = Place::new();
    runtime().block_on(async {
        let unknown = Question { model: "lhama".into(), ..question("hello", 8) };
        let node = place.node("one", |config| config.privacy = Privacy::Circle);
        let error = node.ask(&unknown, &mut |_| {}).await.expect_err("no such model");
        assert!(error.to_string().contains("mutirao ls"), "{error}");
        let error = node.ask(&question("hello", 8), &mut |_| {}).await.expect_err("nobody");
        assert!(matches!(error, AskError::EmptyCircle), "{error}");

        let opened = node.open_anew("village").expect("the village");
        let circle = Circle::new(&place, &opened, 1, 0);
        let provider = *circle.tickets.keys().next().expect("one provider");
        circle.hub.silence(&provider);
        let error = circle
            .ask(&opened, &question("hello", 8), &mut |_| {})
            .await
            .expect_err("nobody answers");
        assert!(error.to_string().contains(&provider.short()), "{error}");
    });
}

#[test]
fn who_fell_silent_is_not_waited_for_again_until_nobody_else_is_left() {
    // spec: SESSION-5.6
    let place = Place::new();
    let opened = place.node("one", |_| {}).open_anew("village").expect("the village");
    runtime().block_on(async {
        let circle = Circle::new(&place, &opened, 2, 0);
        let keys: Vec<PeerKey> = circle.tickets.keys().copied().collect();
        let meet = || async {
            let memory = circle.client.standing().expect("the memory");
            let tickets = circle.tickets.clone();
            Meeting::remembering(circle.net(), tickets, memory).await.expect("a meeting")
        };
        let silences = |key| circle.client.standing().expect("read").standing().of(key).silences;
        circle.hub.silence(&keys[0]);
        let first = meet().await;
        assert_eq!((first.offers.len(), first.silent.len()), (1, 1), "it was asked and not heard");
        assert_eq!((silences(&keys[0]), silences(&keys[1])), (1, 0));
        let second = meet().await;
        assert_eq!((second.offers.len(), second.silent.len()), (1, 0), "it was not asked");
        assert_eq!(silences(&keys[0]), 1);
        circle.hub.silence(&keys[1]);
        let third = meet().await;
        assert_eq!((third.offers.len(), third.silent.len()), (0, 2), "both were asked");
        assert_eq!((silences(&keys[0]), silences(&keys[1])), (2, 1));
    });
}

#[test]
fn a_stop_string_ends_the_answer_and_the_receipt_says_where() {
    let place = Place::new();
    let node = place.node("one", |_| {});
    let asked = question("What is 17 + 25?", 64);
    let stopped = Question { stop: vec!["=".into()], ..asked.clone() };
    runtime().block_on(async {
        let whole = node.ask(&asked, &mut |_| {}).await.expect("an answer");
        let short = node.ask(&stopped, &mut |_| {}).await.expect("an answer");
        assert!(whole.text.contains('='), "{}", whole.text);
        assert_eq!(short.text, whole.text.split('=').next().unwrap_or_default());
        assert!(whole.tokens.starts_with(&short.tokens) && short.tokens.len() < whole.tokens.len());
        let index = short.tokens.len() as u32;
        assert_eq!(short.finish, Finish::Cancelled { index });
        assert!(node.verify(short.receipt_json.as_bytes()).expect("judged").holds());
    });
}

#[test]
fn checked_answers_are_replayed_whole_before_they_count() {
    let place = Place::new();
    let opened = place.node("one", |_| {}).open_anew("village").expect("the village");
    runtime().block_on(async {
        let mut circle = Circle::new(&place, &opened, 2, 0);
        circle.client = place.node("client", |config| {
            config.privacy = Privacy::Circle;
            checked(config);
        });
        let asked = question("Tell me a story about a fox and a bell.", 128);
        let answered = circle.ask(&opened, &asked, &mut |_| {}).await.expect("an answer");
        assert_eq!(answered.trust, Trust::Replayed);
        assert_eq!(answered.tokens, alone(&opened, &asked));
    });
}

#[test]
fn questions_that_are_answered_or_dropped_leave_no_task_behind() {
    let place = Place::new();
    let node = place.node("one", |config| config.pace = 200);
    let runtime = runtime();
    runtime.block_on(async {
        for turn in 0..6 {
            let asked = question("Tell me a story about a fox and a bell.", 128);
            let mut ignore = |_: Notice| {};
            let answer = node.ask(&asked, &mut ignore);
            if turn % 2 == 0 {
                let patience = std::time::Duration::from_millis(60);
                tokio::time::timeout(patience, answer).await.expect_err("it is slower than that");
            } else {
                answer.await.expect("an answer");
            }
        }
        for _ in 0..100 {
            if runtime.metrics().num_alive_tasks() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{} tasks are still alive", runtime.metrics().num_alive_tasks());
    });
}
