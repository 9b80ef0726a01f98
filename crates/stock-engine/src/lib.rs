//! The stock engine: the same archive as in the drop-in, not renamed and not mended, built and
//! linked the same way. Tests and benches call it "stock".

use rdkafka_sys as _;
