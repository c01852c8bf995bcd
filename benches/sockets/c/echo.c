// The floor: a simple echo server in C with epoll, level-triggered, with one shared buffer.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[65536];

static int echo(int fd) {
    ssize_t came = recv(fd, buffer, sizeof buffer, 0);
    if (came == 0) return -1;
    if (came < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    for (ssize_t sent = 0; sent < came;) {
        ssize_t more = send(fd, buffer + sent, came - sent, MSG_NOSIGNAL);
        if (more >= 0) {
            sent += more;
        } else if (errno == EAGAIN) {
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            poll(&room, 1, -1);
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

int c_echo(int listener) {
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)listener};
    if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event) < 0) return errno;
    struct epoll_event events[1024];
    for (;;) {
        int count = epoll_wait(ep, events, 1024, -1);
        if (count < 0 && errno != EINTR) return errno;
        for (int i = 0; i < count; i++) {
            int fd = (int)events[i].data.u64;
            if (fd == listener) {
                int client = accept4(listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (client < 0) continue;
                event.events = EPOLLIN;
                event.data.u64 = (uint64_t)client;
                epoll_ctl(ep, EPOLL_CTL_ADD, client, &event);
            } else if (echo(fd) < 0) {
                close(fd);
            }
        }
    }
}
