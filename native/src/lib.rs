//! The native lane of geodns: the compiled table (`geodns/core/table.py`) replayed without an interpreter.
//!
//! Here is what an answer needs at the time of the query, and nothing of how the table came about: no zones,
//! policies, YAML or verdicts. Python's `geodns.core.replay` is the reference: the same table, packet, client,
//! chance and moment give the same octets.

#[cfg(feature = "python")]
mod border;
#[cfg(feature = "python")]
mod border_place;
#[cfg(feature = "python")]
mod border_serve;
pub mod buckets;
pub mod cookies;
pub mod counts;
pub mod dname;
pub mod edns;
pub mod epochs;
pub mod fit;
pub mod handler;
pub mod lane;
pub mod limit;
pub mod mmdb;
pub mod names;
pub mod networks;
pub mod passes;
pub mod picks;
pub mod place;
pub mod reception;
pub mod replay;
pub mod runs;
pub mod serve;
pub mod sockets;
pub mod subnet;
pub mod table;
pub mod terms;
pub mod wire;
