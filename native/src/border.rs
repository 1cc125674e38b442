//! What Python sees (`geodns/_native.pyi`): compiled data in, counters and replies out.

use pyo3::prelude::*;

/// The native lane.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("LAYOUT", env!("GEODNS_LAYOUT"))?;
    module.add("SOURCES", env!("GEODNS_SOURCES"))?;
    crate::border_serve::register(module)?;
    Ok(())
}
