//! The same for many things, on all cores: lines of a long log, folders of a full store.

use std::{num::NonZero, thread};

/// As many as this are done in less time than it takes to start a thread.
const FEW: usize = 500;

/// What `of` makes of each of `items`, in their order.
pub(super) fn each<I: Sync, T: Send>(items: &[I], of: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let part = items.len().div_ceil(cores);
    if cores == 1 || part < FEW {
        return items.iter().map(of).collect();
    }
    thread::scope(|scope| {
        let of = &of;
        let parts: Vec<_> = items
            .chunks(part)
            .map(|part| scope.spawn(move || part.iter().map(of).collect::<Vec<T>>()))
            .collect();
        let mut made = Vec::with_capacity(items.len());
        for part in parts {
            match part.join() {
                Ok(part) => made.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        made
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_back_in_its_place() {
        for many in [0, 1, FEW, 10 * FEW + 7] {
            let items: Vec<usize> = (0..many).collect();
            let squares: Vec<usize> = items.iter().map(|n| n * n).collect();
            assert_eq!(each(&items, |n| n * n), squares);
        }
    }
}
