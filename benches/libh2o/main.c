/* libh2o with handlers in C and one event loop: `bench-libh2o ADDRESS [tls]`.
 *
 * The directory that it is started in has `certificate.pem` and `key.pem`. Cleartext connections speak HTTP/2 with prior
 * knowledge, or HTTP/1.1; encrypted ones agree on a protocol by ALPN.
 *
 * Build: cc -O3 -DH2O_USE_EPOLL=1 main.c -o bench-libh2o $(pkg-config --cflags --libs libh2o-evloop) -lssl -lcrypto
 * Debian packages: libh2o-evloop-dev, libssl-dev. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "h2o.h"
#include "h2o/http2.h"

#define DOWNLOAD_BYTES (1024 * 1024)
/* The harness expects this text, repeated. */
static const char LINE[] = "Sixty-four bytes of a file, which a server gives away as it is.\n";

static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t accept_context;
static char download_body[DOWNLOAD_BYTES];

static int respond(h2o_req_t *request, const char *type, size_t type_length, const char *body, size_t length)
{
    static h2o_generator_t generator = {NULL, NULL};
    h2o_iovec_t buffer = h2o_iovec_init(body, length);
    request->res.status = 200;
    request->res.reason = "OK";
    request->res.content_length = length;
    h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type, type_length);
    h2o_start_response(request, &generator);
    h2o_send(request, &buffer, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

static int plaintext(h2o_handler_t *self, h2o_req_t *request)
{
    return respond(request, H2O_STRLIT("text/plain"), H2O_STRLIT("Hello, World!"));
}

/* The members of the message are constant, as the other servers' are; they serialise it for each request, and so does this. */
static int json(h2o_handler_t *self, h2o_req_t *request)
{
    char *body = h2o_mem_alloc_pool(&request->pool, 64);
    int length = snprintf(body, 64, "{\"message\":\"%s\"}", "Hello, World!");
    return respond(request, H2O_STRLIT("application/json"), body, length);
}

static int user(h2o_handler_t *self, h2o_req_t *request)
{
    const char *start = request->path_normalized.base + strlen("/users/");
    const char *end = request->path_normalized.base + request->path_normalized.len;
    unsigned long long id = 0;
    if (start >= end)
        return -1;
    for (; start != end; ++start) {
        if (*start < '0' || *start > '9')
            return -1;
        id = id * 10 + (*start - '0');
    }
    char *body = h2o_mem_alloc_pool(&request->pool, 32);
    int length = snprintf(body, 32, "%llu", id);
    return respond(request, H2O_STRLIT("text/plain"), body, length);
}

static int upload(h2o_handler_t *self, h2o_req_t *request)
{
    char *body = h2o_mem_alloc_pool(&request->pool, 32);
    int length = snprintf(body, 32, "%zu", request->entity.len);
    return respond(request, H2O_STRLIT("text/plain"), body, length);
}

static int download(h2o_handler_t *self, h2o_req_t *request)
{
    return respond(request, H2O_STRLIT("text/plain"), download_body, DOWNLOAD_BYTES);
}

static void add(h2o_hostconf_t *host, const char *path, int (*handle)(h2o_handler_t *, h2o_req_t *))
{
    h2o_pathconf_t *route = h2o_config_register_path(host, path, 0);
    h2o_create_handler(route, sizeof(h2o_handler_t))->on_req = handle;
}

static void on_accept(h2o_socket_t *listener, const char *error)
{
    h2o_socket_t *socket;
    if (error != NULL)
        return;
    while ((socket = h2o_evloop_socket_accept(listener)) != NULL)
        h2o_accept(&accept_context, socket);
}

static SSL_CTX *tls(void)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    if (SSL_CTX_use_certificate_chain_file(ssl, "certificate.pem") != 1 ||
        SSL_CTX_use_PrivateKey_file(ssl, "key.pem", SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "bench-libh2o: certificate.pem or key.pem cannot be used\n");
        exit(1);
    }
    h2o_ssl_register_alpn_protocols(ssl, h2o_http2_alpn_protocols);
    return ssl;
}

int main(int count, char **arguments)
{
    char *colon = count > 1 ? strrchr(arguments[1], ':') : NULL;
    if (colon == NULL) {
        fprintf(stderr, "usage: bench-libh2o ADDRESS [tls]\n");
        return 1;
    }
    *colon = '\0';
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    inet_pton(AF_INET, arguments[1], &address.sin_addr);
    for (size_t start = 0; start < DOWNLOAD_BYTES; start += sizeof(LINE) - 1)
        memcpy(download_body + start, LINE, sizeof(LINE) - 1);

    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(descriptor, (void *)&address, sizeof(address)) != 0 || listen(descriptor, 4096) != 0) {
        perror("bench-libh2o: bind");
        return 1;
    }

    /* A client that closes its connection during a response must not end the program. */
    signal(SIGPIPE, SIG_IGN);
    h2o_config_init(&config);
    /* Its 10 seconds are less than the measurement of idle connections takes. */
    config.http2.idle_timeout = 75 * 1000;
    h2o_hostconf_t *host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    add(host, "/plaintext", plaintext);
    add(host, "/json", json);
    add(host, "/users", user);
    add(host, "/upload", upload);
    add(host, "/download", download);
    h2o_context_init(&context, h2o_evloop_create(), &config);
    accept_context.ctx = &context;
    accept_context.hosts = config.hosts;
    if (count > 2)
        accept_context.ssl_ctx = tls();
    h2o_socket_read_start(h2o_evloop_socket_create(context.loop, descriptor, H2O_SOCKET_FLAG_DONT_READ), on_accept);
    while (h2o_evloop_run(context.loop, INT32_MAX) == 0)
        ;
    return 1;
}
