/* sink HOST PORT PATH: GET a file and throw its bytes away inside the kernel. Prints bytes and seconds. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Reads the answer's head into `head` and returns how many bytes of the body came with it. */
static size_t read_head(int fd, char *head, size_t room) {
    size_t used = 0;
    for (;;) {
        ssize_t got = recv(fd, head + used, room - 1 - used, 0);
        if (got <= 0) die("head");
        used += (size_t)got;
        head[used] = 0;
        char *end = strstr(head, "\r\n\r\n");
        if (end) {
            *end = 0;
            return used - (size_t)(end + 4 - head);
        }
        if (used == room - 1) die("head too long");
    }
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: sink HOST PORT PATH\n");
        return 2;
    }
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &peer.sin_addr) != 1) die("address");
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&peer, sizeof peer)) die("connect");

    char request[8192], head[16384];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n",
                          argv[3], argv[1], argv[2]);
    if (length >= (int)sizeof request || send(fd, request, (size_t)length, 0) != length) die("request");
    size_t early = read_head(fd, head, sizeof head);
    if (strncmp(head, "HTTP/1.1 200", 12)) {
        fprintf(stderr, "%s\n", head);
        return 1;
    }
    char *field = strcasestr(head, "\r\ncontent-length:");
    if (!field) die("no length");
    unsigned long long left = strtoull(field + 17, NULL, 10), all = left;
    for (left -= early; left;) {
        ssize_t got = recv(fd, NULL, left > 1 << 20 ? 1 << 20 : (size_t)left, MSG_TRUNC);
        if (got <= 0) die("body");
        left -= (unsigned long long)got;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%llu %.6f\n", all, (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
    close(fd);
    return 0;
}
