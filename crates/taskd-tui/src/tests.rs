//! Pictures of the monitor, and what keys do to it.
