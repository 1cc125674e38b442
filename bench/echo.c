/* The floor: what receiving and sending a UDP datagram costs when nothing is done in between.
 *
 *   echo PORT      on 127.0.0.1; sends every datagram back with QR set, in batches, until it is ended.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 32, SIZE = 1500 };

int main(int argc, char **argv) {
    static uint8_t buffers[BATCH][SIZE];
    static struct sockaddr_in peers[BATCH];
    static struct iovec vectors[BATCH];
    static struct mmsghdr messages[BATCH];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at)) { perror("echo"); return 1; }
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){buffers[i], SIZE};
            messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i], .msg_namelen = sizeof peers[i],
                                                  .msg_iov = &vectors[i], .msg_iovlen = 1};
        }
        int got = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) { perror("echo"); return 1; }
        for (int i = 0; i < got; i++) {
            vectors[i].iov_len = messages[i].msg_len;
            buffers[i][2] |= 0x80;
        }
        for (int at = 0; at < got;) {
            int done = sendmmsg(fd, messages + at, got - at, 0);
            at += done > 0 ? done : 1;
        }
    }
}
