//! Measurements, each beside a named floor or peer of the same run: see `README.md` in this folder.
