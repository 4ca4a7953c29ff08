/* A board on a pty. What it takes and says is in the README of the folder above. */
#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../include/petiole_beacon.h"
#include "simulator.h"

enum { COUNT, TEMPERATURE, VALVE, SETPOINT, NOTE, ENTITIES };

static const petiole_entity entities[ENTITIES] = {
    {"count", NULL, 0, 0, 0, 1000, PETIOLE_INTEGER, 0},
    {"temperature", "\xc2\xb0" "C", 0.01f, -40, 125, 1000, PETIOLE_INTEGER, 0},
    {"valve", NULL, 0, 0, 0, 0, PETIOLE_BOOLEAN, 1},
    {"setpoint", "%", 0, 0, 100, 0, PETIOLE_FLOAT, 1},
    {"note", NULL, 0, 0, 0, 0, PETIOLE_TEXT, 1},
};
static const char *const subscriptions[] = {".say", ".ask.>"};
static const char *const code_names[] = {
    "ok",           "missing",        "busy",        "unknown_type",    "unknown_flags", "malformed",   "too_large",
    "not_permitted", "unknown_entity", "bad_value",  "no_responders",   "deadline",      "unsupported", "version",
    "failed",       "dropped"};
static const char *const reset_names[] = {"unknown", "power-on", "pin", "watchdog", "brown-out", "software", "firmware", "wake"};
static const char *const state_names[] = {"idle", "receiving", "ready", "booting", "trial"};

typedef struct {
  const char *link, *identity, *hardware, *version, *state;
  double rate_ms, burst, count, baud, flip, drop, duplicate, seed, slow, reset_ms, brown_out;
  int one_way;
} options;

static options opt = {.identity = "simulated-1", .hardware = "petiole-sim", .version = "1.0.0", .rate_ms = 1000, .burst = 1,
                      .count = -1, .seed = 1};
static volatile sig_atomic_t is_ended;
static int terminal;
static bad_line out, in;
static retained *memory;
static slots flash;
static petiole_config config;
static petiole_beacon beacon;
static uint32_t produced, pending;
static uint32_t lost_told;
static uint8_t state_told;
static unsigned percent_told;
static double awake_at;

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint32_t now_ms(void *user) {
  (void)user;
  return (uint32_t)(uint64_t)(seconds() * 1000);
}

static const char *code_name(uint8_t code) { return code < 16 ? code_names[code] : "other"; }

static void print_slice(petiole_slice slice) { fwrite(slice.bytes, 1, slice.length, stdout); }

/* The line. A paced one goes on whether somebody reads or not, as a wire does; the other one waits. */
static uint16_t write_line(void *user, const uint8_t *bytes, uint16_t length) {
  size_t room = bad_line_room(&out, length, seconds());
  size_t i;
  (void)user;
  for (i = 0; i < room; i++) {
    uint8_t sent[2];
    size_t count = bad_line_pass(&out, bytes[i], sent);
    if (count > 0 && write(terminal, sent, count) < 0 && opt.baud <= 0) return (uint16_t)i;
  }
  return (uint16_t)room;
}

static void send_byte(void *user, uint8_t byte) {
  while (write_line(user, &byte, 1) == 0) usleep(500);
}

static void on_receipt(void *user, uint32_t number, uint8_t code) {
  (void)user;
  if (code == PETIOLE_OK) printf("receipt %u\n", number);
  else printf("refused %u %s\n", number, code_name(code));
}

static void on_link(void *user, uint8_t is_open) {
  (void)user;
  if (is_open) printf("open channel=%u session=%u\n", memory->board.sender.channel, memory->board.words.session);
  else printf("closed\n");
}

static void on_time(void *user, const uint8_t *bytes) {
  uint64_t time = 0;
  int i;
  (void)user;
  for (i = 7; i >= 0; i--) time = time << 8 | bytes[i];
  printf("time %llu %u\n", (unsigned long long)time, bytes[8]);
}

static uint8_t on_message(void *user, uint8_t subscription, petiole_slice subject, petiole_slice payload) {
  (void)user;
  (void)subscription;
  printf("message ");
  print_slice(subject);
  printf(" ");
  print_slice(payload);
  printf("\n");
  return PETIOLE_OK;
}

static uint8_t on_request(void *user, uint16_t id, petiole_slice subject, petiole_slice payload, uint32_t time_ms) {
  static const char reason[] = "as you asked";
  (void)user;
  (void)time_ms;
  if (!petiole_may_reply(&memory->board, payload.length)) return PETIOLE_BUSY;
  printf("request ");
  print_slice(subject);
  printf(" ");
  print_slice(payload);
  printf("\n");
  if (subject.length == 9 && memcmp(subject.bytes, ".ask.fail", 9) == 0) {
    return petiole_reply(&memory->board, id, PETIOLE_FAILED, reason, sizeof reason - 1);
  }
  return petiole_reply(&memory->board, id, PETIOLE_OK, payload.bytes, payload.length);
}

static uint8_t on_command(void *user, uint8_t entity, petiole_value *value) {
  (void)user;
  if (entity == SETPOINT && !(value->as.real >= 0 && value->as.real <= 100)) return PETIOLE_BAD_VALUE;
  printf("command %s ", entities[entity].name);
  if (value->type == PETIOLE_BOOLEAN) printf("%s\n", value->as.integer ? "true" : "false");
  else if (value->type == PETIOLE_FLOAT) printf("%g\n", (double)value->as.real);
  else printf("%.*s\n", value->as.text.length, (const char *)value->as.text.bytes);
  /* It is done, also where its news has no room. */
  petiole_put_value(&memory->board, entity, value);
  return PETIOLE_OK;
}

static void on_reply(void *user, uint16_t id, uint8_t code, petiole_slice payload) {
  (void)user;
  printf("reply %u %s ", id, code_name(code));
  print_slice(payload);
  printf("\n");
}

static void produce(void) {
  petiole *board = &memory->board;
  while (pending > 0 && (opt.count < 0 || produced < (uint32_t)opt.count)) {
    int32_t temperature = 2000 + (int32_t)(produced * 7 % 500);
    if (opt.one_way) {
      petiole_beacon_integer(&beacon, COUNT, (int32_t)produced + 1);
      petiole_beacon_integer(&beacon, TEMPERATURE, temperature);
      petiole_beacon_send(&beacon);
    } else {
      /* Not to lose what waits here: a value is made when there is room for it. */
      uint32_t lost = board->words.lost;
      if (petiole_put_integer(board, COUNT, (int32_t)produced + 1) != PETIOLE_OK) {
        board->words.lost = lost;
        return;
      }
      if (petiole_put_integer(board, TEMPERATURE, temperature) != PETIOLE_OK) board->words.lost = lost;
    }
    produced++;
    pending--;
    printf("produced %u\n", produced);
  }
}

static void obey(char *line) {
  petiole *board = &memory->board;
  char *text = strchr(line, ' ');
  char *rest;
  uint16_t id;
  uint8_t code = PETIOLE_OK;
  if (text != NULL) *text++ = 0;
  rest = text == NULL ? NULL : strchr(text, ' ');
  if (strcmp(line, "quit") == 0) is_ended = 1;
  else if (strcmp(line, "reset") == 0) flash.reset_asked = 1;
  else if (strcmp(line, "time") == 0) petiole_ask_time(board);
  else if (text == NULL) printf("error what is %s\n", line);
  else if (strcmp(line, "value") == 0) pending += (uint32_t)atoi(text);
  else if (strcmp(line, "log") == 0) code = petiole_log(board, PETIOLE_INFO, text);
  else if (strcmp(line, "sleep") == 0) {
    petiole_sleep(board, (uint32_t)atoi(text));
    while (petiole_poll(board) == 0) usleep(500);
    awake_at = seconds() + atoi(text) / 1000.0;
  } else {
    if (rest != NULL) *rest++ = 0;
    else rest = text + strlen(text);
    if (strcmp(line, "publish") == 0) {
      code = petiole_publish(board, text, rest, (uint16_t)strlen(rest));
      if (code == PETIOLE_OK) printf("number %u\n", petiole_number(board));
    } else if (strcmp(line, "request") == 0) {
      code = petiole_request(board, text, rest, (uint16_t)strlen(rest), 5000, &id);
    } else {
      printf("error what is %s\n", line);
    }
  }
  if (code != PETIOLE_OK) printf("error %s %s\n", line, code_name(code));
}

/* From power-up or a reset to the main loop. */
static void boot(void) {
  uint8_t reason = (uint8_t)memory->reset_reason;
  uint8_t kept = 0;
  slots_boot(&flash, opt.version);
  if (flash.hangs && memory->trial != 0) {
    /* Its watchdog bites, and the boot loader takes the other one. */
    printf("hangs %s\n", flash.version);
    usleep((useconds_t)1000 * (memory->trial_ms < 2000 ? memory->trial_ms : 2000));
    reason = PETIOLE_RESET_WATCHDOG;
    slots_boot(&flash, opt.version);
  }
  memory->boot_count++;
  memory->reset_reason = PETIOLE_RESET_POWER;
  config.reset_reason = reason;
  config.boot_count = memory->boot_count;
  config.entropy = now_ms(NULL) ^ memory->boot_count << 20 ^ (uint32_t)getpid() << 8;
  config.version = flash.version;
  config.hash = flash.hash;
  config.features = opt.state != NULL ? PETIOLE_KEEPS : 0;
  config.trial_ms = 0;
  if (memory->trial != 0) {
    config.features |= PETIOLE_ON_TRIAL;
    config.trial_ms = memory->trial_ms;
  }
  if (opt.one_way) petiole_beacon_start(&beacon, &config, send_byte);
  else if (opt.state != NULL) kept = petiole_resume(&memory->board, &config);
  else petiole_start(&memory->board, &config);
  lost_told = 0;
  state_told = memory->board.image_state;
  printf("start boot=%u version=%s reset=%s kept=%u\n", memory->boot_count, flash.version, reset_names[reason & 7],
         kept ? petiole_waiting(&memory->board) : 0);
}

static void tell_changes(void) {
  petiole *board = &memory->board;
  unsigned percent = board->image.size == 0 ? 0 : (unsigned)((uint64_t)board->image.offset * 100 / board->image.size);
  if (board->words.lost != lost_told) printf("lost %u\n", lost_told = board->words.lost);
  if (board->image_state == state_told && (state_told != PETIOLE_RECEIVING || percent == percent_told)) return;
  state_told = board->image_state;
  percent_told = percent;
  printf("firmware %s %u\n", state_names[state_told % 5], board->image.offset);
}

static void hear(double now) {
  uint8_t bytes[256];
  size_t room = bad_line_room(&in, sizeof bytes, now);
  ssize_t count = room == 0 ? 0 : read(terminal, bytes, room);
  ssize_t i;
  if (in.rate > 0 && count < (ssize_t)room) in.credit += (double)(room - (size_t)(count < 0 ? 0 : count));
  for (i = 0; i < count; i++) {
    uint8_t heard[2];
    size_t length = bad_line_pass(&in, bytes[i], heard);
    if (opt.one_way || flash.power_failed || flash.reset_asked) continue;
    petiole_receive(&memory->board, heard, length);
  }
}

static void read_stdin(void) {
  static char line[1024];
  static size_t length;
  char byte;
  ssize_t count;
  while ((count = read(0, &byte, 1)) == 1) {
    if (byte != '\n' && length < sizeof line - 1) {
      line[length++] = byte;
      continue;
    }
    line[length] = 0;
    length = 0;
    obey(line);
  }
  if (count == 0) is_ended = 1;
}

static void open_terminal(void) {
  struct termios mode;
  int slave;
  const char *path;
  terminal = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0 || (path = ptsname(terminal)) == NULL) {
    perror("pty");
    exit(1);
  }
  /* Kept open, so that the line stays when the gateway lets go of it. */
  slave = open(path, O_RDWR | O_NOCTTY);
  if (slave < 0 || tcgetattr(slave, &mode) != 0) {
    perror(path);
    exit(1);
  }
  mode.c_iflag = mode.c_oflag = mode.c_lflag = 0;
  mode.c_cflag = CS8 | CREAD | CLOCAL;
  tcsetattr(slave, TCSANOW, &mode);
  fcntl(terminal, F_SETFL, O_NONBLOCK);
  fcntl(0, F_SETFL, O_NONBLOCK);
  if (opt.link != NULL) {
    unlink(opt.link);
    if (symlink(path, opt.link) != 0) perror(opt.link);
  }
  printf("pty %s\n", path);
}

static retained *open_memory(char path[512]) {
  void *at;
  if (opt.state == NULL) {
    static char folder[] = "/tmp/petiole-board-XXXXXX";
    if (mkdtemp(folder) == NULL) perror(folder);
    snprintf(path, 512, "%s/slot", folder);
    return calloc(1, sizeof(retained));
  }
  snprintf(path, 512, "%s", opt.state);
  {
    int file = open(path, O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, sizeof(retained)) != 0) {
      perror(path);
      exit(1);
    }
    at = mmap(NULL, sizeof(retained), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  if (at == MAP_FAILED) {
    perror(path);
    exit(1);
  }
  return at;
}

static void end(int signal) {
  (void)signal;
  is_ended = 1;
}

static const char usage[] =
    "petiole-board [OPTIONS]: a board on a pty, until stdin ends. What it does is in firmware-bridge/README.md.\n"
    "  --link PATH          a symbolic link to the pty\n"
    "  --identity NAME      simulated-1\n"
    "  --hardware NAME      petiole-sim, the target of firmware images\n"
    "  --version V          1.0.0, until an image says otherwise\n"
    "  --rate MS            1000, between values; 0: none by itself\n"
    "  --burst N            1, values at each turn\n"
    "  --count N            stop after N values\n"
    "  --state FILE         keep frames, boot count and firmware over resets and processes\n"
    "  --baud N             pace the line, N / 10 bytes a second\n"
    "  --flip P             0, probability that a bit is wrong\n"
    "  --drop P             0, probability that a byte is lost\n"
    "  --duplicate P        0, probability that a byte comes twice\n"
    "  --seed N             1, of the bad line\n"
    "  --slow N             read N bytes a second\n"
    "  --reset-every MS     reset by itself\n"
    "  --brown-out PERCENT  reset once when that much of an image is stored\n"
    "  --one-way            it cannot receive\n"
    "stdin: value N, publish SUBJECT TEXT, request SUBJECT TEXT, log TEXT, time, sleep MS, reset, quit\n";

static void read_options(int count, char **words) {
  struct {
    const char *name;
    const char **text;
    double *number;
  } known[] = {{"--link", &opt.link, NULL},         {"--identity", &opt.identity, NULL},
               {"--hardware", &opt.hardware, NULL}, {"--version", &opt.version, NULL},
               {"--state", &opt.state, NULL},       {"--rate", NULL, &opt.rate_ms},
               {"--burst", NULL, &opt.burst},       {"--count", NULL, &opt.count},
               {"--baud", NULL, &opt.baud},         {"--flip", NULL, &opt.flip},
               {"--drop", NULL, &opt.drop},         {"--duplicate", NULL, &opt.duplicate},
               {"--seed", NULL, &opt.seed},         {"--slow", NULL, &opt.slow},
               {"--reset-every", NULL, &opt.reset_ms}, {"--brown-out", NULL, &opt.brown_out}};
  int i;
  size_t j;
  for (i = 1; i < count; i++) {
    if (strcmp(words[i], "--help") == 0) {
      fputs(usage, stdout);
      exit(0);
    }
    if (strcmp(words[i], "--one-way") == 0) {
      opt.one_way = 1;
      continue;
    }
    for (j = 0; j < sizeof known / sizeof *known && strcmp(words[i], known[j].name) != 0; j++) continue;
    if (j == sizeof known / sizeof *known || i + 1 == count) {
      fprintf(stderr, "petiole-board: what is %s?\n%s", words[i], usage);
      exit(2);
    }
    i++;
    if (known[j].text != NULL) *known[j].text = words[i];
    else *known[j].number = atof(words[i]);
  }
}

int main(int count, char **words) {
  char path[512];
  double next_value, next_reset, next_hello;
  setvbuf(stdout, NULL, _IOLBF, 0);
  read_options(count, words);
  signal(SIGTERM, end);
  signal(SIGINT, end);
  signal(SIGPIPE, end);
  out.flip = in.flip = opt.flip;
  out.drop = in.drop = opt.drop;
  out.duplicate = in.duplicate = opt.duplicate;
  out.rate = in.rate = opt.baud / 10;
  if (opt.slow > 0) in.rate = opt.slow;
  out.random = ((uint64_t)opt.seed << 1 | 1) * 0x9e3779b97f4a7c15ull;
  in.random = out.random ^ 0xdeadbeefcafef00dull;
  out.at = in.at = seconds();
  memory = open_memory(path);
  slots_open(&flash, memory, path, opt.hardware, opt.version);
  flash.brown_out = (int)opt.brown_out;
  if (memory->reset_reason == 0) memory->reset_reason = PETIOLE_RESET_POWER;
  config.identity = opt.identity;
  config.hardware = opt.hardware;
  config.firmware = "petiole-board";
  config.entities = entities;
  config.entity_count = ENTITIES;
  config.subscriptions = subscriptions;
  config.subscription_count = 2;
  config.user = &flash;
  config.write = write_line;
  config.now = now_ms;
  config.receipt = on_receipt;
  config.link = on_link;
  config.time = on_time;
  config.message = on_message;
  config.request = on_request;
  config.command = on_command;
  config.reply = on_reply;
  config.firmware_write = slots_write;
  config.firmware_step = slots_step;
  open_terminal();
  boot();
  next_value = seconds();
  next_hello = next_value + 60;
  next_reset = next_value + opt.reset_ms / 1000;
  while (!is_ended) {
    struct pollfd polled[2] = {{0, POLLIN, 0}, {0, POLLIN, 0}};
    double now = seconds();
    uint32_t wait = 1000;
    if (now >= awake_at) {
      if (opt.rate_ms > 0 && now >= next_value) {
        pending += (uint32_t)opt.burst;
        next_value = now - next_value > 1 ? now + opt.rate_ms / 1000 : next_value + opt.rate_ms / 1000;
      }
      produce();
      hear(now);
      if (opt.one_way && now >= next_hello) {
        petiole_beacon_hello(&beacon);
        next_hello = now + 60;
      }
      if (!opt.one_way && !flash.power_failed) wait = petiole_poll(&memory->board);
      if (!opt.one_way) tell_changes();
    }
    if (opt.reset_ms > 0 && now >= next_reset) {
      next_reset = now + opt.reset_ms / 1000;
      flash.reset_asked = 1;
    }
    if (flash.power_failed || flash.reset_asked) {
      if (flash.power_failed) memory->reset_reason = PETIOLE_RESET_BROWN_OUT;
      else if (memory->trial != 1) memory->reset_reason = PETIOLE_RESET_SOFTWARE;
      boot();
      continue;
    }
    /* Paced lines are looked at each millisecond, the others when something can happen. */
    if (opt.baud > 0 || opt.slow > 0 || wait == 0) wait = 1;
    if (opt.rate_ms > 0 && wait > next_value * 1000 - now * 1000) {
      wait = next_value > now ? (uint32_t)((next_value - now) * 1000) + 1 : 1;
    }
    if (wait > 100) wait = 100;
    polled[1].fd = opt.baud > 0 || opt.slow > 0 ? -1 : terminal;
    poll(polled, 2, (int)wait);
    if (polled[0].revents != 0) read_stdin();
  }
  if (opt.link != NULL) unlink(opt.link);
  if (opt.state == NULL) {
    char *slash = strrchr(path, '/');
    unlink(flash.run_path);
    unlink(flash.new_path);
    *slash = 0;
    rmdir(path);
  }
  return 0;
}
