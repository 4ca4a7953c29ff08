/*
 * A Modbus slave made with libmodbus, the independent far end of our master: several units on one line (or TCP).
 *   modbus-slave rtu PATH | tcp PORT [paced]
 * Units 1 to 20 answer, and 99 never. Input register n of unit u is u * 1000 + n; input registers 0 to 11 of unit 1 are
 * floats as an energy meter has them. Holding registers and coils keep what is written.
 */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REGISTERS 400

int main(int argc, char **argv) {
  if (argc < 3) return 64;
  int paced = argc > 3;
  int tcp = strcmp(argv[1], "tcp") == 0;
  modbus_t *bus = tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2])) : modbus_new_rtu(argv[2], 115200, 'N', 8, 1);
  if (bus == NULL) return 1;
  modbus_mapping_t *maps[21];
  for (int unit = 1; unit <= 20; unit++) {
    maps[unit] = modbus_mapping_new(64, 64, REGISTERS, REGISTERS);
    if (maps[unit] == NULL) return 1;
    for (int i = 0; i < REGISTERS; i++) maps[unit]->tab_input_registers[i] = (uint16_t)(unit * 1000 + i);
    for (int i = 0; i < 64; i++) maps[unit]->tab_input_bits[i] = i % 3 == 0;
  }
  const float volts[] = {230.5f, 231.25f, 229.75f, 5.5f, 6.25f, 7.125f};
  for (int i = 0; i < 6; i++) {
    /* Not by modbus_set_float_abcd: that of 3.1.6 swaps the bytes on a little-endian machine. */
    uint32_t bits;
    memcpy(&bits, &volts[i], sizeof bits);
    maps[1]->tab_input_registers[2 * i] = (uint16_t)(bits >> 16);
    maps[1]->tab_input_registers[2 * i + 1] = (uint16_t)bits;
  }
  int listener = -1;
  if (tcp) {
    listener = modbus_tcp_listen(bus, 1);
    modbus_tcp_accept(bus, &listener);
  } else {
    modbus_set_slave(bus, 1);
    if (modbus_connect(bus) == -1) return 1;
  }
  puts("ready");
  fflush(stdout);
  int fd = modbus_get_socket(bus);
  for (;;) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    int unit_at = modbus_get_header_length(bus) - 1;
    int length = 0;
    if (tcp) {
      length = modbus_receive(bus, query);
      if (length == -1 && modbus_tcp_accept(bus, &listener) == -1) return 0;
    } else {
      /* libmodbus hears one unit only, so the first bytes say which it shall be. */
      int wanted = 8;
      while (length < wanted) {
        int got = (int)read(fd, query + length, (size_t)(wanted - length));
        if (got < 0 && errno != EAGAIN && errno != EINTR) return 0;
        /* The driver is set to return at once with nothing. */
        if (got <= 0) {
          usleep(200);
          continue;
        }
        length += got;
        if (length >= 7 && (query[1] == 15 || query[1] == 16)) wanted = 9 + query[6];
        if (length >= 7 && query[1] == 22) wanted = 10;
        if (length >= 8 && query[1] == 23) wanted = 11;
        if (length >= 11 && query[1] == 23) wanted = 13 + query[10];
      }
    }
    if (length <= 0) continue;
    int unit = query[unit_at];
    if (unit < 1 || unit > 20) continue;
    if (!tcp) modbus_set_slave(bus, unit);
    if (paced) {
      /*
       * What the line would take: request and answer, 10 bits a character (8N1) at 115,200 baud, and the silence by which
       * a slave knows that a request is over.
       */
      int count = query[1] <= 4 ? (query[4] << 8 | query[5]) * 2 : 3;
      usleep((useconds_t)((length + 5 + count) * 10 * 1000000.0 / 115200 + 1750));
    }
    modbus_reply(bus, query, length, maps[unit]);
  }
}
