//! What the owner of the wallet is shown: what there is, and a block from both sides.

use super::payer::ways;
use super::{Cashier, CashierError, Desk};
use crate::ledger::view;
use mutirao_gateway::wallet::{ChannelView, LineView, StrangerView, TwoViews, WalletView};
use mutirao_ledger::rules::Height;
use mutirao_ledger::service::{Answer, Question};
use mutirao_wallet::WalletError;
use mutirao_wallet::earning::Earning;
use mutirao_wallet::history::Line;
use mutirao_wallet::read::{Ledger as _, ReadError};
use mutirao_wire::Amount;

/// Lines of history that are shown.
const LINES_MAX: usize = 50;

impl Cashier {
    /// What there is.
    ///
    /// # Errors
    /// [`CashierError`].
    pub(crate) async fn wallet_view(&self) -> Result<WalletView, CashierError> {
        self.ask(|desk| desk.wallet_view()).await?
    }

    /// A block from both sides; none where the ledger has no such block.
    ///
    /// # Errors
    /// [`CashierError`].
    pub(crate) async fn two_views(&self, height: u64) -> Result<Option<TwoViews>, CashierError> {
        self.ask(move |desk| desk.two_views(height)).await?
    }
}

impl Desk {
    /// A ledger that is away hides nothing of what was known.
    fn wallet_view(&mut self) -> Result<WalletView, CashierError> {
        let is_current = self.read().is_ok();
        let balance = self.purse.wallet().balance();
        let vouchers = self.vouchers();
        let (daily, left) = (vouchers.daily, vouchers.left_today(None)?);
        drop(vouchers);
        let history = self.purse.wallet().history();
        Ok(WalletView {
            is_current,
            spendable: balance.spendable,
            pending: balance.pending,
            spent_today: daily.saturating_sub(left),
            daily,
            channels: self.channel_views()?,
            lines: history.into_iter().rev().take(LINES_MAX).map(line).collect(),
        })
    }

    fn channel_views(&self) -> Result<Vec<ChannelView>, WalletError> {
        let wallet = self.purse.wallet();
        let (notes, ways) = (wallet.notes(), ways(wallet)?);
        let mut all = Vec::new();
        for channel in wallet.channels() {
            let way = ways.iter().find(|way| way.channel == channel.cell);
            all.push(ChannelView {
                id: channel.cell.0.hex(),
                provider: way.map(|way| way.peer),
                earns: false,
                paid: notes.progress(channel.cell)?.paid,
                deposit: channel.deposit(),
                expiry: channel.expiry.0,
            });
        }
        for (id, earning) in notes.earnings()? {
            all.push(ChannelView {
                id: id.0.hex(),
                provider: None,
                earns: true,
                paid: earning.earned(),
                deposit: total(&earning),
                expiry: earning.channel.expiry.0,
            });
        }
        Ok(all)
    }

    fn two_views(&mut self, height: u64) -> Result<Option<TwoViews>, CashierError> {
        let answer = self.reach.ask(&Question::Block(Height(height)));
        let answer = answer.map_err(|error| WalletError::from(ReadError::from(error)))?;
        let Answer::Block(block) = answer else { return Ok(None) };
        let seen = view::see(&block);
        let history = self.purse.wallet().history().into_iter();
        let owner = history.filter(|line| line.height == Some(height)).map(self::line);
        let stranger = seen.transactions.into_iter().map(|seen| StrangerView {
            tx: seen.id,
            bytes: seen.bytes,
            spends: seen.spends,
            outputs: seen.outputs,
            actions: seen.actions,
            fee: seen.fee,
            minted: seen.minted,
        });
        Ok(Some(TwoViews {
            height,
            bytes: seen.bytes,
            owner: owner.collect(),
            stranger: stranger.collect(),
        }))
    }
}

/// What its payer told of what is inside.
fn total(earning: &Earning) -> Amount {
    Amount(earning.told.iter().fold(0, |sum, part| sum.saturating_add(part.amount.0)))
}

fn line(line: Line) -> LineView {
    LineView {
        height: line.height,
        kind: line.kind.to_string(),
        amount: line.amount,
        fee: line.fee,
        memo: line.memo,
        tx: line.tx,
    }
}
