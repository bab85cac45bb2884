/* The least a delivery can cost: one send(2) each, over a list of connected sockets.
 *
 * send_floor CLIENTS EVENT_BYTES: print the port, accept so many, greet each with "hi", then send
 * the event's complete WebSocket frame once to all for every line on standard input. */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int clients = atoi(argv[1]), size = atoi(argv[2]), on = 1;
    if (clients < 1 || size < 126 || size > 65535) return 2;
    int *fds = malloc(sizeof(int) * clients);
    unsigned char *frame = malloc(size + 4);
    if (!fds || !frame) return 1;
    memset(frame, 'x', size + 4);
    frame[0] = 0x81, frame[1] = 126, frame[2] = size >> 8, frame[3] = size & 255;

    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t length = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) return 1;
    getsockname(listener, (struct sockaddr *)&at, &length);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (int i = 0; i < clients; i++) {
        if ((fds[i] = accept(listener, NULL, NULL)) < 0) return 1;
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (send(fds[i], "\x81\x02hi", 4, MSG_NOSIGNAL) != 4) return 1;
    }
    char lines[4096];
    for (ssize_t got; (got = read(0, lines, sizeof lines)) > 0;)
        for (ssize_t n = 0; n < got; n++)
            if (lines[n] == '\n')
                for (int i = 0; i < clients; i++)
                    if (send(fds[i], frame, size + 4, MSG_NOSIGNAL) != size + 4) return 1;
    return 0;
}
