//! The value of a setting, as text of the environment.

use std::time::Duration;

/// The location of a setting's value, with its minimum. The variant has the unit, and the type of a number its maximum.
pub(super) enum SettingRef<'a> {
    Number(&'a mut dyn Number, u64),
    Bytes(&'a mut dyn Number, u64),
    Rate(&'a mut u64),
    Duration(&'a mut Duration, Duration),
}

impl SettingRef<'_> {
    /// Sets the value; `None` if the text is invalid.
    pub(super) fn set(&mut self, text: &str) -> Option<()> {
        match self {
            SettingRef::Number(value, minimum) => value.set(text.parse().ok().filter(|number| number >= &*minimum)?)?,
            SettingRef::Bytes(value, minimum) => value.set(parse_bytes(text).filter(|bytes| bytes >= &*minimum)?)?,
            SettingRef::Rate(value) => **value = parse_bytes(text)?,
            SettingRef::Duration(value, minimum) => {
                **value = parse_duration(text).filter(|duration| duration >= &*minimum)?;
            }
        }
        Some(())
    }

    pub(super) fn expected(&self) -> String {
        match self {
            SettingRef::Number(value, minimum) => format!("a whole number{}", range(*minimum, value.maximum())),
            SettingRef::Bytes(value, minimum) => {
                let range = range(*minimum, value.maximum());
                let comma = if range.is_empty() { "" } else { "," };
                format!("a number of bytes{range}{comma} such as 16384, 16KiB or 2MiB")
            }
            SettingRef::Rate(_) => "a number of bytes a second such as 1024 or 1KiB".to_owned(),
            SettingRef::Duration(_, Duration::ZERO) => "a duration such as 10s, 500ms or 2m".to_owned(),
            SettingRef::Duration(_, minimum) => format!("a duration from {minimum:?} up, such as 10s, 500ms or 2m"),
        }
    }

    pub(super) fn unit(&self) -> &'static str {
        match self {
            SettingRef::Number(..) => "number",
            SettingRef::Bytes(..) => "bytes",
            SettingRef::Rate(_) => "bytes a second",
            SettingRef::Duration(..) => "duration",
        }
    }

    /// The value as the environment would have it; empty if it is not set.
    pub(super) fn text(&self) -> String {
        match self {
            SettingRef::Number(value, _) => value.get().map(|number| number.to_string()).unwrap_or_default(),
            SettingRef::Bytes(value, _) => value.get().map(show_bytes).unwrap_or_default(),
            SettingRef::Rate(value) => show_bytes(**value),
            SettingRef::Duration(value, _) if value.subsec_millis() != 0 => format!("{}ms", value.as_millis()),
            SettingRef::Duration(value, _) => format!("{}s", value.as_secs()),
        }
    }
}

/// An integer of any width, or an optional one.
pub(super) trait Number {
    fn maximum(&self) -> u64;

    fn get(&self) -> Option<u64>;

    /// Sets the value; `None` if it exceeds the maximum.
    fn set(&mut self, value: u64) -> Option<()>;
}

macro_rules! numbers {
    ($($integer:ty)*) => {$(
        impl Number for $integer {
            fn maximum(&self) -> u64 {
                <$integer>::MAX as u64
            }

            fn get(&self) -> Option<u64> {
                Some(*self as u64)
            }

            fn set(&mut self, value: u64) -> Option<()> {
                *self = value.try_into().ok()?;
                Some(())
            }
        }
    )*};
}

numbers!(u8 u32 u64 usize);

impl<N: Number + Default> Number for Option<N> {
    fn maximum(&self) -> u64 {
        N::default().maximum()
    }

    fn get(&self) -> Option<u64> {
        self.as_ref().and_then(N::get)
    }

    fn set(&mut self, value: u64) -> Option<()> {
        self.get_or_insert_default().set(value)
    }
}

/// The range in words, without a maximum that is that of the widest type.
fn range(minimum: u64, maximum: u64) -> String {
    match (minimum, maximum) {
        (0, u64::MAX) => String::new(),
        (_, u64::MAX) => format!(" from {minimum} up"),
        _ => format!(" from {minimum} to {maximum}"),
    }
}

/// A number of bytes: digits, and a unit of 1024 or none.
fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, unit) = split_unit(text);
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A duration: digits and a unit; without one it is seconds.
fn parse_duration(text: &str) -> Option<Duration> {
    let (digits, unit) = split_unit(text);
    let number: u64 = digits.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits);
    (digits, unit.strip_prefix(' ').unwrap_or(unit))
}

fn show_bytes(bytes: u64) -> String {
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => bytes.to_string(),
    }
}
