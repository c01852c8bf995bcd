//! A parser of event streams that follows WHATWG HTML, section 9.2.6, literally, and splits the stream at each line end.

/// An event as a client dispatches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dispatched {
    pub(crate) kind: String,
    pub(crate) data: String,
    pub(crate) last_event_id: String,
}

/// The events of a whole stream, and the last reconnection time in milliseconds.
pub(crate) fn parse(stream: &str) -> (Vec<Dispatched>, Option<u64>) {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let text = stream.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut retry) = (Vec::new(), None);
    let (mut data, mut kind) = (String::new(), String::new());
    let (mut id, mut last_event_id) = (String::new(), String::new());
    // The text after the last line end is discarded.
    let Some((lines, _)) = text.rsplit_once('\n') else {
        return (events, retry);
    };
    for line in lines.split('\n') {
        if line.is_empty() {
            last_event_id.clone_from(&id);
            let event = Dispatched {
                kind: match std::mem::take(&mut kind) {
                    empty if empty.is_empty() => "message".to_owned(),
                    kind => kind,
                },
                data: std::mem::take(&mut data),
                last_event_id: last_event_id.clone(),
            };
            if !event.data.is_empty() {
                let data = event.data[..event.data.len() - 1].to_owned();
                events.push(Dispatched { data, ..event });
            }
            continue;
        }
        let (field, value) = match line.split_once(':') {
            Some(("", _)) => continue,
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (line, ""),
        };
        match field {
            "event" => kind = value.to_owned(),
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => id = value.to_owned(),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                retry = value.parse().ok().or(retry);
            }
            _ => {}
        }
    }
    (events, retry)
}
