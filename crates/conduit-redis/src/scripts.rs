//! The scripts of topics.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Script};

/// The scripts, which a connection loads at its beginning.
pub(crate) struct Scripts {
    pub(crate) publish: Script,
    pub(crate) follow: Script,
    pub(crate) members: Script,
    /// Restores members that were present before, with the script `members`, which here is permitted on a full server too.
    pub(crate) announce: Script,
    pub(crate) lease: Script,
    pub(crate) refresh: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        const TOPIC: &str = include_str!("lua/topic.lua");
        const MEMBERS: &str = include_str!("lua/members.lua");
        /// A full server renews leases, and restores the members of a process whose lease had ended: they would leave otherwise.
        const ALLOW_OOM: &str = "#!lua flags=allow-oom\n";
        let of_topic = |code: &str| Script::new(&[TOPIC, code].concat());
        Scripts {
            publish: of_topic(include_str!("lua/publish.lua")),
            follow: of_topic(include_str!("lua/follow.lua")),
            members: of_topic(MEMBERS),
            announce: Script::new(&[ALLOW_OOM, TOPIC, MEMBERS].concat()),
            lease: Script::new(&[ALLOW_OOM, TOPIC, include_str!("lua/lease.lua")].concat()),
            refresh: Script::new(include_str!("lua/refresh.lua")),
        }
    }

    pub(crate) async fn load(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let Scripts {
            publish,
            follow,
            members,
            announce,
            lease,
            refresh,
        } = self;
        for script in [publish, follow, members, announce, lease, refresh] {
            script.load_async(connection).await?;
        }
        Ok(())
    }
}

/// The call of a loaded script with these keys; the caller adds the arguments.
pub(crate) fn call(script: &Script, keys: &[Vec<u8>]) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script.get_hash()).arg(keys.len());
    for key in keys {
        command.arg(&key[..]);
    }
    command
}
