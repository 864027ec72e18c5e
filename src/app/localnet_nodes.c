#include "app/localnet_nodes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/files.h"
#include "host/os_random.h"

#define START_TIMEOUT_MS 60000
#define STOP_TIMEOUT_MS 20000

/* Below the ports that the kernel gives to outgoing connections (32768 and up): a node's dial could
 * otherwise take the port that its neighbour is about to listen on. */
#define PORT_FIRST 15000u
#define PORT_COUNT 17000u

static int try_port(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

enum dsmr_err dsmr_localnet_nodes_ports(uint16_t ports[][3], uint32_t count)
{
    /* All sockets stay open until the last port is known, so that no port comes twice. */
    int sockets[DSMR_TESTNET_NODES_MAX * 3];
    uint32_t opened = 0, start;
    dsmr_os_random((uint8_t *)&start, sizeof start);
    for (uint32_t i = 0; i < PORT_COUNT && opened < count * 3; i++) {
        uint16_t port = (uint16_t)(PORT_FIRST + (start % PORT_COUNT + i) % PORT_COUNT);
        int fd = try_port(port);
        if (fd < 0)
            continue;
        ports[opened / 3][opened % 3] = port;
        sockets[opened++] = fd;
    }
    for (uint32_t i = 0; i < opened; i++)
        close(sockets[i]);
    return opened == count * 3 ? DSMR_OK : DSMR_ERR_UNAVAILABLE;
}

/* ---- one process ---- */

static void run_child(const struct dsmr_localnet_node *node, const char *program, int out,
                      pid_t parent)
{
    char log[PATH_MAX];
    snprintf(log, sizeof log, "%.*s/node.log", PATH_MAX - 16, node->home);
    int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int null_fd = open("/dev/null", O_RDONLY);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died before we asked to be told */
        _exit(0);
    /* Ctrl-C goes to the whole terminal group: the parent tells us when to stop. */
    setpgid(0, 0);
    if (log_fd < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(out, 1) < 0 ||
        dup2(log_fd, 2) < 0)
        _exit(74);
    execl(program, program, "start", "--home", node->home, "--json", (char *)NULL);
    dprintf(1, "cannot run %s: %s\n", program, strerror(errno));
    _exit(70);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* Reads one line from fd. False at the end of the stream or after the timeout. */
static bool read_line(int fd, char *line, size_t size, uint64_t until_ms)
{
    size_t len = 0;
    while (len + 1 < size) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        uint64_t now = now_ms();
        if (now >= until_ms)
            break;
        int n = poll(&wait, 1, (int)(until_ms - now));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || read(fd, line + len, 1) != 1)
            break;
        if (line[len] == '\n') {
            line[len] = 0;
            return true;
        }
        len++;
    }
    line[len] = 0;
    return false;
}

static unsigned field(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at == NULL ? 0 : (unsigned)strtoul(at + strlen(name), NULL, 10);
}

static void last_log_line(const char *home, char *out, size_t size)
{
    char path[PATH_MAX], *text = NULL;
    size_t len = 0;
    out[0] = 0;
    snprintf(path, sizeof path, "%.*s/node.log", PATH_MAX - 16, home);
    if (dsmr_files_read(&text, &len, path, 1u << 30) != DSMR_OK)
        return;
    while (len > 0 && text[len - 1] == '\n')
        text[--len] = 0;
    const char *last = strrchr(text, '\n');
    snprintf(out, size, "%.400s", last == NULL ? text : last + 1);
    free(text);
}

static enum dsmr_err start_one(struct dsmr_localnet_node *node, const char *program, int *out)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return DSMR_ERR_IO;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        run_child(node, program, ends[1], parent);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return DSMR_ERR_IO;
    }
    node->pid = pid;
    *out = ends[0];
    return DSMR_OK;
}

static enum dsmr_err await_start(struct dsmr_localnet_node *node, int fd, char *reason)
{
    static char line[8 * PATH_MAX]; /* the home is in it, with escapes */
    char log[512];
    bool has_line = read_line(fd, line, sizeof line, now_ms() + START_TIMEOUT_MS);
    if (has_line && strstr(line, "\"event\":\"started\"") != NULL) {
        const char *id = strstr(line, "\"node_id\":\"");
        if (id != NULL)
            snprintf(node->node_id, sizeof node->node_id, "%.40s", id + strlen("\"node_id\":\""));
        node->p2p_port = (uint16_t)field(line, "\"p2p_port\":");
        node->http_port = (uint16_t)field(line, "\"http_port\":");
        node->submit_port = (uint16_t)field(line, "\"submit_port\":");
        return DSMR_OK;
    }
    last_log_line(node->home, log, sizeof log);
    snprintf(reason, DSMR_LOCALNET_REASON_BYTES, "%.200s did not start: %.500s", node->home,
             has_line ? line : log);
    return DSMR_ERR_UNAVAILABLE;
}

static bool find_program(char out[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0)
        return false;
    self[len] = 0;
    char *slash = strrchr(self, '/');
    if (slash == NULL)
        return false;
    *slash = 0;
    snprintf(out, PATH_MAX, "%.*s/dsmrd", PATH_MAX - 16, self);
    return access(out, X_OK) == 0;
}

enum dsmr_err dsmr_localnet_nodes_start(struct dsmr_localnet_nodes *nodes,
                                        char reason[DSMR_LOCALNET_REASON_BYTES])
{
    char program[PATH_MAX];
    int outs[DSMR_TESTNET_NODES_MAX];
    enum dsmr_err err = DSMR_OK;
    uint32_t started = 0;
    if (!find_program(program)) {
        snprintf(reason, DSMR_LOCALNET_REASON_BYTES, "dsmrd is not beside this program");
        return DSMR_ERR_UNAVAILABLE;
    }
    for (; started < nodes->count && err == DSMR_OK; started++) {
        err = start_one(&nodes->nodes[started], program, &outs[started]);
        if (err != DSMR_OK) {
            snprintf(reason, DSMR_LOCALNET_REASON_BYTES, "a process cannot be started: %s",
                     strerror(errno));
            break;
        }
    }
    for (uint32_t i = 0; i < started; i++) {
        if (err == DSMR_OK)
            err = await_start(&nodes->nodes[i], outs[i], reason);
        close(outs[i]); /* nodes say nothing more on standard output */
    }
    if (err != DSMR_OK)
        (void)dsmr_localnet_nodes_stop(nodes);
    return err;
}

uint32_t dsmr_localnet_nodes_stop(struct dsmr_localnet_nodes *nodes)
{
    uint32_t failed = 0, left = 0;
    uint64_t until_ms = now_ms() + STOP_TIMEOUT_MS;
    for (uint32_t i = 0; i < nodes->count; i++) {
        int status = -1;
        nodes->nodes[i].exit_code = -1;
        if (nodes->nodes[i].pid > 0 && waitpid(nodes->nodes[i].pid, &status, WNOHANG) != 0) {
            nodes->nodes[i].pid = 0;
            nodes->nodes[i].exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }
        if (nodes->nodes[i].pid > 0) {
            kill(nodes->nodes[i].pid, SIGTERM);
            left++;
        }
    }
    bool is_killing = false;
    while (left > 0) {
        for (uint32_t i = 0; i < nodes->count; i++) {
            int status = 0;
            if (nodes->nodes[i].pid <= 0)
                continue;
            pid_t pid = waitpid(nodes->nodes[i].pid, &status, WNOHANG);
            if (pid == 0)
                continue;
            failed += pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
            nodes->nodes[i].exit_code = pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            nodes->nodes[i].pid = 0;
            left--;
        }
        if (left > 0 && !is_killing && now_ms() > until_ms) {
            is_killing = true;
            for (uint32_t i = 0; i < nodes->count; i++)
                if (nodes->nodes[i].pid > 0)
                    kill(nodes->nodes[i].pid, SIGKILL);
        }
        if (left > 0)
            poll(NULL, 0, 10);
    }
    return failed;
}
