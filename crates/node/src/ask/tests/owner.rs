//! Machines whose owners come back: what is being written goes on elsewhere.

use super::*;
use crate::manners::Facts;
use mutirao_wire::Privacy;
use std::time::Duration;

const SOMEBODY: Facts = Facts { idle: Some(Duration::ZERO), on_batteries: None, hour: 0 };
const NOBODY: Facts = Facts { idle: Some(Duration::from_secs(9_999)), ..SOMEBODY };

#[test]
fn when_an_owner_comes_back_the_answer_goes_on_elsewhere_bit_for_bit() {
    runtime().block_on(async {
        let place = Place::new();
        let mut all = Vec::new();
        for name in ["one", "two"] {
            let node = place.node(name, |config| {
                (config.run_if_user_active, config.pace) = (false, 100);
            });
            let keys = Keys::throw_away().expect("keys");
            all.push(node.provide(crate::models::VILLAGE, &keys).await.expect("it listens"));
        }
        let far = place.node("far", |config| config.privacy = Privacy::Circle);
        for providing in &all {
            far.join(&providing.ticket()).await.expect("it answers");
        }
        let asked = question("Tell me a story about a fox and a bell.", 200);
        let near = place.node("near", |_| {}).ask(&asked, &mut |_| {}).await.expect("an answer");

        let (mut writing, mut pieces) = (None, 0);
        let mut watch = |notice: Notice| match notice {
            Notice::Asking { provider } => writing = Some(provider),
            Notice::Text { .. } => {
                pieces += 1;
                let is_writing = |one: &&crate::Providing| Some(one.ticket().key()) == writing;
                if pieces == 10 {
                    all.iter().find(is_writing).expect("one of them").manners().learn(&SOMEBODY);
                }
            }
            Notice::Chose { .. } => {}
            Notice::Lost { why, .. } => panic!("to leave politely is no failure: {why}"),
        };
        let answered = far.ask(&asked, &mut watch).await.expect("an answer");
        assert_eq!(answered.tokens, near.tokens, "bit for bit");
        assert_eq!(answered.providers.len(), 2, "both wrote");
        let standing = far.standing().expect("the memory");
        assert!(standing.standing().iter().all(|(_, record)| record.failures == 0));
        for providing in all {
            providing.stop().await;
        }
    });
}

#[test]
fn whoever_has_its_owner_at_the_keyboard_takes_no_question_until_he_goes() {
    runtime().block_on(async {
        let place = Place::new();
        let node = place.node("one", |config| config.run_if_user_active = false);
        let keys = Keys::throw_away().expect("keys");
        let only = node.provide(crate::models::VILLAGE, &keys).await.expect("it listens");
        let far = place.node("far", |config| config.privacy = Privacy::Circle);
        far.join(&only.ticket()).await.expect("it answers");
        // On a busy machine to open it takes longer than the owner stays.
        far.open(crate::models::VILLAGE).expect("the village");
        only.manners().learn(&SOMEBODY);
        let manners = only.manners().clone();
        let goes = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(400)).await;
            manners.learn(&NOBODY);
        });
        let asked = question("What is 17 + 25?", 50);
        let answered = far.ask(&asked, &mut |_| {}).await.expect("an answer, later");
        goes.await.expect("it ended");
        assert!(answered.first_token >= Duration::from_millis(300), "{:?}", answered.first_token);
        only.stop().await;
    });
}
