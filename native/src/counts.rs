//! What is counted beside the answers, and where the counting is done.

/// Why a packet got a reply that no data answers, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // `CAUSES` says what they are
pub enum Cause {
    Silence,
    Opcode,
    Update,
    Notify,
    QuestionCount,
    Question,
    RecordCount,
    Record,
    Opt,
    Tsig,
    Option,
    ClientSubnet,
    CookieOption,
    Version,
    Cookie,
    NoQuestion,
    Class,
    Identity,
    Transfer,
    Zone,
}

/// The causes' names, as in the metrics, in the order of `Cause`.
pub const CAUSES: [&str; 20] = [
    "silence",
    "opcode",
    "update",
    "notify",
    "question count",
    "question",
    "record count",
    "record",
    "opt",
    "tsig",
    "option",
    "client subnet",
    "cookie option",
    "version",
    "cookie",
    "no question",
    "class",
    "identity",
    "transfer",
    "zone",
];

/// What a cookie that was brought along is (RFC 7873).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum State {
    New,
    Good,
    Bad,
}

/// The states' names, as in the metrics, in the order of `State`.
pub const STATES: [&str; 3] = ["new", "good", "bad"];

/// Counters of one writer.
pub trait Counts {
    /// Count an answer in the tally's slot; how many it had before.
    fn take(&mut self, slot: u32) -> u64;
    /// Count a reply beside the data.
    fn aside(&mut self, cause: Cause);
    /// Count a cookie that was looked at.
    fn cookie(&mut self, state: State);
}
