//! Redirection of a whole subtree (RFC 6672): the records that lead a name through DNAMEs, as in `geodns.core.dname`.

use std::collections::HashSet;

use crate::fit::compressed;
use crate::wire::{HEADER, name_end, rcode, rtype, skip_name, word};

const MAX_STEPS: usize = 8;
const MAX_NAME: usize = 255;
const QUESTION: [u8; 2] = [0xC0, 0x0C];

/// The records from the question's name to where DNAMEs lead it.
pub struct Path {
    /// Where it stands now, case kept.
    pub name: Vec<u8>,
    /// The answer section so far, then, behind `arrive`, the other sections.
    pub records: Vec<u8>,
    /// How many records the answer section has.
    pub count: u16,
    /// YXDOMAIN where the name got too long.
    pub rcode: u8,
    /// Whether another DNAME may be followed.
    pub open: bool,
    qtype: u16,
    start: usize,
    owner: [u8; 2],
    targets: Vec<(Vec<u8>, [u8; 2])>,
    passed: Vec<Vec<u8>>,
    shown: HashSet<Vec<u8>>,
}

impl Path {
    /// From the question's name, as asked.
    pub fn new(name: &[u8], qtype: u16) -> Self {
        Self {
            name: name.to_vec(),
            records: Vec::new(),
            count: 0,
            rcode: rcode::NOERROR,
            open: qtype != rtype::CNAME,
            qtype,
            start: HEADER + name.len() + 4,
            owner: QUESTION,
            targets: Vec::new(),
            passed: vec![name.to_ascii_lowercase()],
            shown: HashSet::new(),
        }
    }

    /// The type asked for.
    pub fn qtype(&self) -> u16 {
        self.qtype
    }

    /// Go through a DNAME record (its owner in lower case, written out). None where it is no such record.
    pub fn follow(&mut self, dname: &[u8]) -> Option<()> {
        let at = name_end(dname, 0)?;
        let (owner, ttl, target) = (&dname[..at], dname.get(at + 4..at + 8)?, dname.get(at + 10..)?);
        let kept = self.name.len().checked_sub(owner.len())?;
        let pointer = match self.targets.iter().find(|(known, _)| known == owner) {
            Some((_, pointer)) => *pointer,
            None => {
                let shown = self.shortened(owner);
                self.add(&[&shown, &dname[at..]], dname);
                let pointer = self.pointer(target.len());
                self.targets.push((owner.to_vec(), pointer));
                pointer
            }
        };
        if kept + target.len() > MAX_NAME {
            (self.rcode, self.open) = (rcode::YXDOMAIN, false);
            return Some(());
        }
        let name = [&self.name[..kept], target].concat();
        if name_end(&name, 0) != Some(name.len()) {
            return None; // the name was not below the owner
        }
        let rdata = [&self.name[..kept], &pointer[..]].concat();
        let whole = cname(&self.name, ttl, &name);
        let owner = self.owner;
        self.add(&[&cname(&owner, ttl, &rdata)], &whole);
        self.owner = self.pointer(rdata.len());
        let folded = name.to_ascii_lowercase();
        self.name = name;
        let again = self.passed.contains(&folded);
        self.open &= !again && self.passed.len() < MAX_STEPS;
        if !again {
            self.passed.push(folded);
        }
        Some(())
    }

    /// Take over a compiled answer: `count` records in its answer section, then those of the others.
    ///
    /// Its names are compressed where it would not fit into `most` octets of the message.
    pub fn arrive(&mut self, body: &[u8], count: u16, most: isize) -> Option<()> {
        let mut kept = Vec::with_capacity(body.len());
        let mut at = 0;
        for _ in 0..count {
            let behind = skip_name(body, at, 0x4000)?;
            let end = behind + 10 + word(body, behind + 8) as usize;
            let (owner, rest) = (&body[at..behind], body.get(behind..end)?);
            let asked = owner == QUESTION;
            let whole = [if asked { &self.name } else { owner }, rest]
                .concat()
                .to_ascii_lowercase();
            if !self.shown.contains(&whole) {
                kept.extend_from_slice(if asked { &self.owner } else { owner });
                kept.extend_from_slice(rest);
                self.count += 1;
            }
            at = end;
        }
        kept.extend_from_slice(&body[at..]);
        let start = self.start + self.records.len();
        let fits = (start + kept.len()) as isize <= most;
        self.records.extend(if fits {
            kept
        } else {
            compressed(start, &kept, &[0])?
        });
        Some(())
    }

    fn add(&mut self, pieces: &[&[u8]], whole: &[u8]) {
        pieces
            .iter()
            .for_each(|piece| self.records.extend_from_slice(piece));
        self.count += 1;
        self.shown.insert(whole.to_ascii_lowercase());
    }

    /// A pointer to the last `size` octets so far.
    fn pointer(&self, size: usize) -> [u8; 2] {
        (0xC000 | (self.start + self.records.len() - size) as u16).to_be_bytes()
    }

    /// The owner of the first DNAME is the end of the question's name.
    fn shortened(&self, owner: &[u8]) -> Vec<u8> {
        if self.targets.is_empty() {
            let at = HEADER + self.name.len() - owner.len();
            return (0xC000 | at as u16).to_be_bytes().to_vec();
        }
        owner.to_vec()
    }
}

fn cname(owner: &[u8], ttl: &[u8], rdata: &[u8]) -> Vec<u8> {
    let head: &[u8] = &[0, rtype::CNAME as u8, 0, 1];
    [owner, head, ttl, &(rdata.len() as u16).to_be_bytes(), rdata].concat()
}
