//! Random days on a failing disk, beside a plain model.

use mutirao_chain::testing::Life;

// spec: CHAIN-4.1, CHAIN-4.3, LEDGER-6.2
#[test]
fn two_hundred_random_operations_on_a_failing_disk_leave_what_a_plain_table_says() {
    let life = Life::live(1, 200, true);
    assert!(life.crashes >= 8, "the current failed {} times", life.crashes);
}

// spec: CHAIN-4.1, CHAIN-4.3, LEDGER-6.2
#[test]
fn ten_thousand_random_operations_on_a_failing_disk_leave_what_a_plain_table_says_slow_() {
    if std::env::var_os("MUTIRAO_SLOW").is_some() {
        let life = Life::live(2, 10_000, true);
        assert!(life.crashes >= 400, "the current failed {} times", life.crashes);
        assert!(life.unheard > 0, "no block was there that nobody had heard of");
    }
}
