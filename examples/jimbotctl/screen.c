/*
 * screen.c: see screen.h. Plain ANSI, which every terminal of today and its multiplexers speak.
 *
 * Invariant: the signals that matter are blocked everywhere but inside ppoll(), so none is missed
 * between looking and waiting, and a frame is never cut by one.
 */
#include "screen.h"

#include "jimbot/base.h"
#include "table.h"
#include "text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Alternate screen, no cursor, no wrapping of what is too wide; and back. */
static const char enter_text[] = "\033[?1049h\033[?25l\033[?7l\033[2J";
static const char leave_text[] = "\033[0m\033[?7h\033[?25h\033[?1049l";

enum { CTRL_C = 3, CTRL_D = 4 };

static volatile sig_atomic_t got_end, got_size, got_stop;
static struct termios terminal_before;
static sigset_t mask_before;
static sigset_t mask_waiting;

static void on_signal(int signo)
{
    if (signo == SIGWINCH)
        got_size = 1;
    else if (signo == SIGTSTP)
        got_stop = 1;
    else
        got_end = 1;
}

static int write_all(const char *text, size_t len_bytes)
{
    while (len_bytes) {
        ssize_t n = write(STDOUT_FILENO, text, len_bytes);

        if (n < 0 && errno != EINTR)
            return -1;
        text += n > 0 ? n : 0;
        len_bytes -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void read_size(screen *s)
{
    struct winsize size;
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;

    s->n_rows = is_known && size.ws_row ? size.ws_row : 24;
    s->n_columns = is_known && size.ws_col ? size.ws_col : 80;
}

static void enter(screen *s)
{
    if (s->is_raw) {
        struct termios raw = terminal_before;

        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    read_size(s);
    write_all(enter_text, sizeof(enter_text) - 1);
}

static void leave(screen *s)
{
    write_all(leave_text, sizeof(leave_text) - 1);
    if (s->is_raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal_before);
}

static void catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t ours;

    sigemptyset(&ours);
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        sigaddset(&ours, signals[i]);
        sigaction(signals[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &ours, &mask_before);
    mask_waiting = mask_before;
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        sigdelset(&mask_waiting, signals[i]);
}

void screen_begin(screen *s)
{
    const char *kind = getenv("TERM");

    memset(s, 0, sizeof(*s));
    s->is_live = isatty(STDOUT_FILENO) && kind && *kind && strcmp(kind, "dumb") != 0;
    s->is_raw = s->is_live && isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp() &&
                tcgetattr(STDIN_FILENO, &terminal_before) == 0;
    s->has_keys = s->is_raw;
    catch_signals();
    if (s->is_live)
        enter(s);
}

void screen_end(screen *s)
{
    if (s->is_live)
        leave(s);
    s->is_live = false;
}

/* Stopped by ctrl-Z: the shell gets its screen back, and we ours when we go on. */
static void stop(screen *s)
{
    got_stop = 0;
    if (s->is_live)
        leave(s);
    raise(SIGSTOP);
    if (s->is_live)
        enter(s);
}

enum screen_why screen_wait(screen *s, uint64_t until_ns)
{
    for (;;) {
        struct pollfd in = {.fd = s->has_keys ? STDIN_FILENO : -1, .events = POLLIN};
        uint64_t now_ns = jb_clock_now_ns();
        uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
        struct timespec left = {.tv_sec = (time_t)(left_ns / UINT64_C(1000000000)),
                                .tv_nsec = (long)(left_ns % UINT64_C(1000000000))};
        int rc = ppoll(&in, 1, &left, &mask_waiting);

        if (got_end)
            return SCREEN_QUIT;
        if (got_stop || got_size) {
            if (got_stop)
                stop(s);
            got_size = 0;
            read_size(s);
            return SCREEN_REDRAW;
        }
        if (rc > 0) {
            char key = 0;
            ssize_t n = read(STDIN_FILENO, &key, 1);

            if (n == 1 && (key == 'q' || key == 'Q' || key == CTRL_C || key == CTRL_D))
                return SCREEN_QUIT;
            if (n <= 0 && errno != EINTR)
                s->has_keys = false;
        } else if (left_ns == 0) {
            return SCREEN_TIME;
        }
    }
}

/* One line, cut to the width, and what stood behind it wiped away. */
static void put_line(FILE *out, const screen *s, const char *line, size_t len_bytes)
{
    bool is_marked = len_bytes && line[0] == TABLE_MARK;
    size_t n;

    line += is_marked;
    n = text_clip(line, len_bytes - is_marked, s->n_columns);
    if (is_marked && s->is_live)
        fprintf(out, "\033[1m%.*s\033[0m", (int)n, line);
    else
        fwrite(line, 1, n, out);
    if (s->is_live && n < s->n_columns)
        fputs("\033[K", out);
}

int screen_draw(screen *s, const char *text, size_t len_bytes)
{
    const char *end = text + len_bytes;
    char *frame = NULL;
    size_t frame_bytes = 0;
    FILE *out = open_memstream(&frame, &frame_bytes);
    screen size = *s;
    int rc;

    if (!out)
        return -1;
    if (!s->is_live)
        size.n_rows = size.n_columns = UINT32_MAX;
    else
        fputs("\033[H", out);
    for (uint32_t row = 0; row < size.n_rows && text < end; row++) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((line_end ? line_end : end) - text);

        if (row && s->is_live)
            fputs("\r\n", out);
        put_line(out, &size, text, n);
        if (!s->is_live)
            putc('\n', out);
        text += n + (line_end != NULL);
    }
    fputs(s->is_live ? "\033[J" : "\n", out);
    rc = fclose(out) ? -1 : write_all(frame, frame_bytes);
    free(frame);
    return rc;
}
