//! The names of layers.

/// The name of a type or function without its modules and its generic arguments: `Cors`, `auth`.
pub fn short_name<T>() -> &'static str {
    shortened(std::any::type_name::<T>())
}

fn shortened(name: &str) -> &str {
    // The form of a trait method: `<app::Key as app::Guard>::check`.
    let from = if name.starts_with('<') {
        name.rfind(">::").map_or(0, |place| place + 1)
    } else {
        0
    };
    let end = name[from..].find('<').map_or(name.len(), |place| from + place);
    match name[..end].rfind("::") {
        Some(place) => &name[place + 2..end],
        None => &name[..end],
    }
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_name_is_short_without_modules_and_generics() {
        for (name, short) in [
            ("app::auth", "auth"),
            ("auth", "auth"),
            (
                "tower_http::trace::layer::TraceLayer<tower_http::classify::SharedClassifier<app::Kind>>",
                "TraceLayer",
            ),
            ("TraceLayer<app::Kind>", "TraceLayer"),
            ("app::guard<app::Key>", "guard"),
            ("<app::Key as app::Guard>::check", "check"),
            ("app::main::{{closure}}", "{{closure}}"),
        ] {
            assert_eq!(shortened(name), short, "{name}");
        }
    }
}
