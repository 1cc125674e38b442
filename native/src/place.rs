//! From a client's network to its class in a plan.

use crate::subnet::Subnet;

/// Who knows the class of a client in a plan, and the scope for which it holds, in bits of its family.
pub trait Classify {
    /// None where it is not known here, and Python is to be asked.
    fn find(&self, plan: u32, subnet: &Subnet) -> Option<(u32, u8)>;
}

/// STUB
pub struct Classifier;
impl Classify for Classifier {
    fn find(&self, _plan: u32, _subnet: &Subnet) -> Option<(u32, u8)> {
        None
    }
}
