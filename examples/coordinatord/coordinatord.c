/*
 * coordinatord: who may use how much of what, for everything that shares a machine. All that it can
 * do is in libjimbot and libjimbot-host; here are a file of settings and exit codes.
 *
 * Exit codes: 0 stopped by SIGINT or SIGTERM, 1 failure while running, 2 wrong flag or setting,
 * 3 the address cannot be bound, 4 the coordinator or the bus cannot be opened, or the audit log
 * cannot be written.
 */
#include "config.h"
#include "observe.h"
#include "run.h"
#include "systemd.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_ADDRESS = 3, EXIT_COORD = 4 };

static uint32_t log_format;

static void on_log(uint32_t level, const char *line, void *userdata)
{
    char text[2048];
    size_t n = jb_host_log_line(log_format, "coordinatord", level, line, text, sizeof(text));

    fwrite(text, 1, n, stderr);
}

static int complain(const jb_error *err, int code)
{
    fprintf(stderr, "coordinatord: %s\n", err->msg[0] ? err->msg : jb_strerror(err->code));
    return code;
}

static int run(config *c, jb_coord_service *service)
{
    char ready[1024];
    jb_host *host;
    jb_error err;
    int rc = jb_host_create(&c->host, NULL, &host, &err);

    if (rc < 0)
        return complain(&err, rc == JB_ESYS ? EXIT_ADDRESS : EXIT_USAGE);
    rc = jb_coord_service_join(service, host, &err);
    if (rc < 0) {
        jb_host_destroy(host);
        return complain(&err, EXIT_FAILURE);
    }
    snprintf(ready, sizeof(ready), "coordinatord %s listens on http%s://%s, %s",
             jb_version_string(), c->host.tls_cert[0] ? "s" : "", jb_host_address(host),
             c->name[0] ? c->name : "this process alone");
    rc = run_host(host, ready);
    return rc < 0 ? EXIT_FAILURE : 0;
}

static int serve(config *c)
{
    static observe observed;
    jb_coord_service *service;
    jb_coord *coord;
    jb_error err;
    int rc, is_left = 0;

    if (jb_coord_open(c->name[0] ? c->name : NULL, &c->coord, &coord, &err) < 0)
        return complain(&err, err.code == JB_EINVAL ? EXIT_USAGE : EXIT_COORD);
    c->service.coord = coord;
    c->service.is_shared = c->name[0] != '\0';
    c->service.audit_path = c->audit[0] ? c->audit : NULL;
    if (c->bus[0] && jb_bus_open(c->bus, NULL, &c->service.bus, &err) < 0) {
        jb_coord_close(coord);
        return complain(&err, EXIT_COORD);
    }
    rc = jb_coord_service_create(&c->service, &service, &err);
    if (rc == 0) {
        observed = (observe){.coord = coord, .service = service, .log = on_log};
        rc = observe_start(&observed, &err) < 0 ? complain(&err, EXIT_COORD) : run(c, service);
        is_left = observe_stop(&observed) < 0;
        jb_coord_service_destroy(service);
    } else {
        rc = complain(&err, EXIT_COORD);
    }
    jb_bus_close(c->service.bus);
    if (is_left) {
        /* What ends with exit() may wait for the driver too; and its thread has the coordinator. */
        fflush(NULL);
        _exit(rc);
    }
    jb_coord_close(coord);
    return rc;
}

/* Whether it could be started with these settings, and what they are. */
static int check(const config *c)
{
    jb_coord *coord;
    jb_error err;

    if (jb_host_opts_check(&c->host, &err) < 0)
        return complain(&err, EXIT_USAGE);
    if (jb_coord_open(NULL, &c->coord, &coord, &err) < 0)
        return complain(&err, EXIT_USAGE);
    jb_coord_close(coord);
    config_print(c);
    return 0;
}

static int print_routes(void)
{
    const char *method, *path, *statuses;

    for (uint32_t i = 0; jb_coord_service_route_at(i, &method, &path) == 0; i++)
        printf("%s %s\n", method, path);
    for (uint32_t i = 0; jb_host_route_at(i, &method, &path, &statuses) == 0; i++) {
        if (strncmp(path, "/api/", 5) != 0 && !strcmp(method, "GET"))
            printf("%s %s\n", method, path);
    }
    return 0;
}

static int make_token(const char *name, const char *scopes)
{
    char token[48];
    char line[256];
    jb_error err;

    if (jb_host_make_token(name, scopes ? scopes : "resource", token, line, &err) < 0)
        return complain(&err, EXIT_USAGE);
    printf("%s\n%s\n", token, line);
    return 0;
}

static int print_help(void)
{
    printf("usage: coordinatord --config FILE [option...]\n"
           "Leases on memory, time on a GPU and calls outside, over gRPC and REST.\n\n"
           "  --config FILE               what there is to share, and who asks for it\n"
           "  --check-config              print the settings in force and stop; exit code 2 when\n"
           "                              one is wrong\n"
           "  --make-token NAME [SCOPES]  print a new token, and its line for the file `tokens`\n"
           "  --routes                    the paths of HTTP\n"
           "  --help                      this text\n"
           "  --version                   the version\n");
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check-config", no_argument, NULL, 'k'},
                                            {"make-token", required_argument, NULL, 't'},
                                            {"routes", no_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {0}};
    static config c;
    const char *path = NULL;
    bool is_check = false;
    jb_error err;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'k':
            is_check = true;
            break;
        case 't':
            return make_token(optarg, argv[optind]);
        case 'r':
            return print_routes();
        case 'h':
            return print_help();
        case 'v':
            return printf("coordinatord %s\n", jb_version_string()) < 0;
        default:
            return EXIT_USAGE;
        }
    }
    if (!path || optind < argc) {
        fprintf(stderr, "coordinatord: a --config FILE is needed and nothing else, see --help\n");
        return EXIT_USAGE;
    }
    if (config_load(&c, path, &err) < 0)
        return complain(&err, EXIT_USAGE);
    if (is_check)
        return check(&c);
    systemd_sockets(&c.host);
    log_format = c.host.log_format;
    c.host.log = on_log;
    jb_log_set(on_log, NULL);
    return serve(&c);
}
