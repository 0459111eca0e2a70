//! Settings: who wins, and what a bad one says.

use super::*;

fn home() -> Home {
    let caches = crate::caches::Caches::find(|_| None);
    let (config, data) = ("/home/ana/.config/mutirao".into(), "/home/ana/data".into());
    Home { config, data, caches, program: None }
}

#[test]
fn a_flag_beats_the_environment_and_the_environment_beats_the_file() {
    let mut settings = Settings::default();
    settings.read_file("capacity = 1\npace = 1\nmodel = \"one\"").expect("a file");
    settings.read_environment(|name| match name {
        "MUTIRAO_PACE" | "MUTIRAO_MODEL" => Some("2".into()),
        _ => None,
    });
    settings.set("model", "3".into(), Layer::Flag);
    let config = settings.resolve(&home()).expect("a configuration");
    assert_eq!((config.capacity, config.pace, config.model.as_str()), (1, 2, "3"));
}

#[test]
fn the_defaults_bind_loopback_and_keep_prompts_local() {
    let config = Settings::default().resolve(&home()).expect("the defaults");
    assert!(config.listen.ip().is_loopback());
    assert_eq!(config.privacy, Privacy::Local);
    assert_eq!(config.data_dir, home().data);
    assert!(config.threads >= 1);
}

#[test]
fn a_bad_value_is_named_with_its_place_and_its_cure() {
    let mut settings = Settings::default();
    settings.set("privacy", "secret".into(), Layer::Environment);
    let error = settings.resolve(&home()).expect_err("no such level").to_string();
    assert_eq!(error, "privacy = \"secret\" (from the environment): one of local, circle, open");
}

#[test]
fn an_unknown_setting_in_the_file_is_refused() {
    let error = Settings::default().read_file("modle = \"x\"").expect_err("a slip").to_string();
    assert!(error.contains("modle"), "{error}");
}

#[test]
fn a_broken_file_says_where_it_breaks() {
    let error = Settings::default().read_file("pace = \n").expect_err("broken").to_string();
    assert!(error.contains("line 1"), "{error}");
}

#[test]
fn a_relative_xdg_path_is_ignored() {
    let home = Home::find(|name| match name {
        "HOME" => Some("/home/ana".into()),
        "XDG_DATA_HOME" => Some("relative".into()),
        _ => None,
    });
    assert_eq!(home.data, PathBuf::from("/home/ana/.local/share/mutirao"));
}

#[test]
fn the_name_of_a_wallet_is_no_path() {
    for name in ["", "../main", "a/b", ".", "a b", &"a".repeat(65)] {
        let mut settings = Settings::default();
        settings.set("wallet", name.into(), Layer::Flag);
        assert!(settings.resolve(&home()).is_err(), "{name}");
    }
    let mut settings = Settings::default();
    settings.set("wallet", "shop_2-b".into(), Layer::Flag);
    settings.set("ledger", "mutirao1x".into(), Layer::File);
    let config = settings.resolve(&home()).expect("a configuration");
    assert_eq!((config.wallet.as_str(), config.ledger.as_deref()), ("shop_2-b", Some("mutirao1x")));
    assert_eq!(Settings::default().resolve(&home()).expect("the defaults").ledger, None);
}
