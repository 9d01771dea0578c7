//! Pages of every kind, and each that is refused.
