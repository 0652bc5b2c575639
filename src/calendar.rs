//! One meeting as calendars take it.
