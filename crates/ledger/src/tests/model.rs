//! Random days beside a plain model of balances.
