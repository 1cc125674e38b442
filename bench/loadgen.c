/* A DNS load generator for loopback: sends prepared queries, checks every answer, prints one JSON line.
 *
 *   loadgen ADDRESS PORT QUERIES COUNT SECONDS WINDOW RATE SOCKETS FIRST [TRACE]
 *
 * QUERIES holds records of a 16-bit big-endian length and a DNS query; they are sent in order from number
 * FIRST on, the file again from its start when its end is reached. It stops after COUNT queries or SECONDS,
 * whichever is first.
 * RATE 0: as fast as answers come, at most WINDOW unanswered. RATE n: n queries a second, answers or not.
 * An answer counts when its id is awaited, QR is set and the question is echoed octet for octet. Unanswered
 * after LOST_NS (WINDOW) or at the end plus LINGER_NS (RATE): lost.
 * SOCKETS: how many source ports take turns, a batch each: a server that spreads its load over threads by
 * the ports (SO_REUSEPORT) sees one client as one thread's.
 * Of the answers' A records: `records` counts them, `mixed` the answers in which they differ in the first
 * octet, `turns` how often it is another one than in the answer before: with two generations of data that
 * differ there, how often one took the place of the other. `idle`: the share of the time in which there was
 * nothing to send and nothing to take.
 * TRACE: a file of one `struct trace` per answer (native byte order). SIGTERM ends the sending early.
 *
 * It spins instead of sleeping: a sleeping client would make the server pay for waking it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

enum { BATCH = 32, IDS = 65536, MAX_QUERY = 512, MAX_ANSWER = 4096, MAX_COUNT = 20000000, MAX_SOCKETS = 64 };
#define LOST_NS 500000000ULL
#define LINGER_NS 3000000000ULL

struct query { const uint8_t *bytes; uint16_t length, question; };   /* question: octets after the header */
struct slot { uint64_t sent_at; uint32_t query; uint32_t awaited; };
struct trace { uint64_t sent_ns, answered_ns; uint32_t query, address; };  /* CLOCK_REALTIME; address 0: none */

static struct query *queries;
static uint32_t query_count;
static struct slot slots[IDS];
static uint32_t *latency;
static uint64_t sent, answered, lost, stray, wrong, empty, truncated, outstanding, last_answer, rcodes[16];
static uint64_t first_query, records, mixed, turns, idle_ns;
static int sockets[MAX_SOCKETS];
static uint32_t socket_count;
static int64_t to_realtime;
static FILE *trace_file;
static volatile sig_atomic_t stopping;

static void stop(int signal) { stopping = signal; }

static void die(const char *what) {
    fprintf(stderr, "loadgen: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(2);
}

static uint64_t clock_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* The length of the question section's only entry, or 0 where the query is malformed. */
static uint16_t question_length(const uint8_t *query, uint32_t length) {
    uint32_t at = 12;
    while (at < length && query[at] && query[at] < 64) at += query[at] + 1;
    return at + 5 <= length && query[at] == 0 ? at + 5 - 12 : 0;
}

static void load(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (!file || fstat(fileno(file), &info)) die(path);
    uint8_t *all = malloc(info.st_size + 1);
    queries = malloc(sizeof *queries * (info.st_size / 14 + 1));
    if (!all || !queries || fread(all, 1, info.st_size, file) != (size_t)info.st_size) die(path);
    fclose(file);
    for (int64_t at = 0; at + 2 <= info.st_size;) {
        uint16_t length = all[at] << 8 | all[at + 1];
        const uint8_t *bytes = all + at + 2;
        at += 2 + length;
        uint16_t question = at <= info.st_size && length <= MAX_QUERY ? question_length(bytes, length) : 0;
        if (!question) errno = 0, die("a malformed record in the file of queries");
        queries[query_count++] = (struct query){bytes, length, question};
    }
    if (!query_count) errno = 0, die("the file of queries is empty");
}

static int send_batch(int fd, uint64_t now, uint32_t wanted) {
    static uint8_t buffers[BATCH][MAX_QUERY];
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    if (wanted > BATCH) wanted = BATCH;
    for (uint32_t i = 0; i < wanted; i++) {
        uint64_t seq = sent + i;
        uint32_t number = (first_query + seq) % query_count;
        const struct query *query = &queries[number];
        memcpy(buffers[i], query->bytes, query->length);
        buffers[i][0] = seq >> 8, buffers[i][1] = seq;
        vectors[i] = (struct iovec){buffers[i], query->length};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
        struct slot *slot = &slots[seq % IDS];
        if (slot->awaited) lost++, outstanding--;       /* 65,536 queries ago and still unanswered */
        *slot = (struct slot){now, number, 1};
        outstanding++;
    }
    int done = sendmmsg(fd, messages, wanted, 0);
    if (done < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED) die("sendmmsg");
    for (uint32_t i = done < 0 ? 0 : done; i < wanted; i++) {
        slots[(sent + i) % IDS].awaited = 0;
        outstanding--;
    }
    sent += done < 0 ? 0 : done;
    return done;
}

/* The first answer's IPv4 address, or 0. Counts the A records that stand at the question's own name, as a
 * pointer to it says, from the first on. */
static uint32_t addresses(const uint8_t *answer, uint32_t length, uint32_t question) {
    static const uint8_t head[] = {0xC0, 12, 0, 1, 0, 1};
    static uint8_t generation;
    uint32_t first = 0, count = answer[6] << 8 | answer[7], differs = 0;
    const uint8_t *record = answer + 12 + question, *end = answer + length;
    for (uint32_t i = 0; i < count && record + 16 <= end; i++, record += 16) {
        if (memcmp(record, head, sizeof head) || record[11] != 4) break;
        uint32_t address;
        memcpy(&address, record + 12, 4);
        address = ntohl(address);
        records++;
        if (!first) first = address;
        differs |= (first ^ address) >> 24;
    }
    mixed += differs != 0;
    if (first) {
        turns += generation && generation != first >> 24;
        generation = first >> 24;
    }
    return first;
}

static void take(const uint8_t *answer, uint32_t length, uint64_t now) {
    if (length < 12 || !(answer[2] & 0x80)) { wrong++; return; }
    struct slot *slot = &slots[answer[0] << 8 | answer[1]];
    if (!slot->awaited) { stray++; return; }
    const struct query *query = &queries[slot->query];
    if (length < 12u + query->question || memcmp(answer + 12, query->bytes + 12, query->question)) {
        wrong++;
        return;
    }
    slot->awaited = 0;
    outstanding--;
    uint64_t took = now - slot->sent_at;
    latency[answered++] = took > UINT32_MAX ? UINT32_MAX : took;
    rcodes[answer[3] & 15]++;
    empty += !(answer[6] | answer[7]);
    truncated += answer[2] >> 1 & 1;
    last_answer = now;
    uint32_t address = addresses(answer, length, query->question);
    if (trace_file) {
        struct trace row = {slot->sent_at + to_realtime, now + to_realtime, slot->query, address};
        fwrite(&row, sizeof row, 1, trace_file);
    }
}

static int receive(int fd) {
    static uint8_t buffers[BATCH][MAX_ANSWER];
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){buffers[i], MAX_ANSWER};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    int got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    if (got < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED) die("recvmmsg");
    if (got <= 0) return 0;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < got; i++) take(buffers[i], messages[i].msg_len, now);
    return got;
}

static int receive_all(void) {
    int got = 0;
    for (uint32_t i = 0; i < socket_count; i++) got += receive(sockets[i]);
    return got;
}

static void give_up(void) {
    for (int i = 0; i < IDS; i++) slots[i].awaited = 0;
    lost += outstanding;
    outstanding = 0;
}

static void run(uint64_t count, double seconds, uint64_t window, double rate) {
    uint64_t start = clock_ns(CLOCK_MONOTONIC), end = start + (uint64_t)(seconds * 1e9), now = start;
    uint64_t last_send = last_answer = start;
    uint32_t turn = 0;
    while (sent < count && now < end && !stopping) {
        uint64_t room = window > outstanding ? window - outstanding : 0;
        if (rate > 0) {
            uint64_t due = (uint64_t)((now - start) * rate / 1e9) + 1;
            room = due > sent ? due - sent : 0;
        }
        if (room > count - sent) room = count - sent;
        if (room && send_batch(sockets[turn++ % socket_count], now, room) > 0) last_send = now;
        int got = receive_all();
        uint64_t before = now;
        now = clock_ns(CLOCK_MONOTONIC);
        if (!room && !got) idle_ns += now - before;
        uint64_t idle_since = last_answer > last_send ? last_answer : last_send;
        if (rate == 0 && outstanding && now > idle_since + LOST_NS) give_up();
    }
    uint64_t linger = rate > 0 ? LINGER_NS : LOST_NS;
    for (end = now + linger; outstanding && now < end; now = clock_ns(CLOCK_MONOTONIC)) receive_all();
    give_up();
}

static int open_socket(const char *address, const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || ntohl(to.sin_addr.s_addr) >> 24 != 127)
        errno = 0, die("the address must be in 127.0.0.0/8");
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 8 << 20;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return fd;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile(double share) {   /* of the sorted latencies, in microseconds */
    return answered ? latency[(uint64_t)(share * (answered - 1))] / 1e3 : 0;
}

int main(int argc, char **argv) {
    if (argc < 10)
        errno = 0, die("usage: loadgen ADDRESS PORT QUERIES COUNT SECONDS WINDOW RATE SOCKETS FIRST [TRACE]");
    uint64_t count = strtoull(argv[4], NULL, 10), window = strtoull(argv[6], NULL, 10);
    socket_count = strtoul(argv[8], NULL, 10), first_query = strtoull(argv[9], NULL, 10);
    double seconds = atof(argv[5]), rate = atof(argv[7]);
    if (!count || count > MAX_COUNT || window < 1 || window > IDS / 2 || seconds <= 0 || seconds > 600)
        errno = 0, die("COUNT 1 to 20,000,000, SECONDS up to 600, WINDOW 1 to 32,768");
    if (socket_count < 1 || socket_count > MAX_SOCKETS) errno = 0, die("SOCKETS 1 to 64");
    signal(SIGTERM, stop);
    load(argv[3]);
    latency = malloc(sizeof *latency * count);
    if (!latency) die("malloc");
    if (argc > 10 && !(trace_file = fopen(argv[10], "wb"))) die(argv[10]);
    for (uint32_t i = 0; i < socket_count; i++) sockets[i] = open_socket(argv[1], argv[2]);
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    to_realtime = (int64_t)(clock_ns(CLOCK_REALTIME) - start);
    run(count, seconds, window, rate);
    double took = (last_answer - start) / 1e9;
    double idle = (double)idle_ns / (clock_ns(CLOCK_MONOTONIC) - start);
    if (trace_file && fclose(trace_file)) die("trace");
    qsort(latency, answered, sizeof *latency, by_value);
    printf("{\"sent\":%lu,\"answered\":%lu,\"lost\":%lu,\"stray\":%lu,\"wrong\":%lu,\"empty\":%lu,"
           "\"truncated\":%lu,\"records\":%lu,\"mixed\":%lu,\"turns\":%lu,",
           sent, answered, lost, stray, wrong, empty, truncated, records, mixed, turns);
    printf("\"seconds\":%.6f,\"idle\":%.3f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
           "\"max_us\":%.1f,\"rcodes\":[",
           took, idle, percentile(.5), percentile(.9), percentile(.99), percentile(.999), percentile(1));
    for (int i = 0; i < 16; i++) printf("%s%lu", i ? "," : "", rcodes[i]);
    puts("]}");
    return 0;
}
