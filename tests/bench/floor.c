/* What any program pays for probing: a loop that sends echo requests when they are due and takes in the answers.

   floor MOMENTS ADDRESS...   (100 probes a second to each address, for a minute at most)

   As our prober does it: one raw socket, real-time priority, absolute deadlines, the addresses sent to at MOMENTS of
   every 10 ms in turn, arrivals stamped by the kernel and fetched every 50 ms. It logs nothing and matches nothing. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#define INTERVAL_NS 10000000L
#define TICK_NS 50000000L
#define BATCH 128

static struct mmsghdr answers[BATCH];
static unsigned char data[BATCH][256], stamps[BATCH][64];

static int open_socket(void)
{
	/* Accept echo replies only, as our prober's filter does. */
	struct sock_filter steps[] = {{0xB1, 0, 0, 0}, {0x50, 0, 0, 0}, {0x15, 0, 1, 0}, {6, 0, 0, 65535}, {6, 0, 0, 0}};
	struct sock_fprog program = {5, steps};
	int on = 1, sock = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP);

	if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) ||
	    setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program)) {
		perror("floor");
		exit(1);
	}
	return sock;
}

static void send_echo(int sock, const struct sockaddr_in *to, int stream, int slot)
{
	unsigned char packet[64] = {0};
	struct icmphdr *head = (struct icmphdr *)packet;
	unsigned sum = 0;

	head->type = ICMP_ECHO;
	head->un.echo.id = htons(stream);
	head->un.echo.sequence = htons(slot);
	memcpy(packet + 8, &slot, sizeof slot);
	for (int i = 0; i < 64; i += 2)
		sum += packet[i] << 8 | packet[i + 1];
	sum = (sum >> 16) + (sum & 0xFFFF);
	head->checksum = htons(~(sum + (sum >> 16)));
	sendto(sock, packet, sizeof packet, 0, (const struct sockaddr *)to, sizeof *to);
}

static void take_in(int sock, struct iovec *parts)
{
	int got;

	do {
		for (int i = 0; i < BATCH; i++) {
			parts[i] = (struct iovec){data[i], sizeof data[i]};
			answers[i].msg_hdr = (struct msghdr){
			    .msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = stamps[i], .msg_controllen = sizeof stamps[i]};
		}
		got = recvmmsg(sock, answers, BATCH, MSG_DONTWAIT, NULL);
	} while (got == BATCH);
}

int main(int count, char **arguments)
{
	int moments = count > 2 ? atoi(arguments[1]) : 0, targets = count - 2, sock = open_socket();
	struct sockaddr_in to[256] = {0};
	struct iovec parts[BATCH];
	struct sched_param priority = {1};
	struct timespec now;

	if (moments < 1 || targets > 256)
		return 2;
	for (int i = 0; i < targets; i++) {
		to[i].sin_family = AF_INET;
		if (inet_pton(AF_INET, arguments[i + 2], &to[i].sin_addr) != 1)
			return 2;
	}
	prctl(PR_SET_TIMERSLACK, 1);
	sched_setscheduler(0, SCHED_RR, &priority);
	clock_gettime(CLOCK_MONOTONIC, &now);
	long start = now.tv_sec * 1000000000L + now.tv_nsec, tick = start;
	for (long step = 0; step < 6000L * moments; step++) {
		long due = start + step * (INTERVAL_NS / moments);
		struct timespec at = {due / 1000000000L, due % 1000000000L};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		for (int i = step % moments; i < targets; i += moments) {
			clock_gettime(CLOCK_MONOTONIC, &now);
			send_echo(sock, &to[i], i, step / moments);
		}
		if (due >= tick) {
			take_in(sock, parts);
			tick += TICK_NS;
		}
	}
	return 0;
}
