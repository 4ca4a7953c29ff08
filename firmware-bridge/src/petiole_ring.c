/* The retry ring. */
#include "petiole_internal.h"

static uint16_t wrapped(uint16_t at) { return at >= PETIOLE_RING_BYTES ? (uint16_t)(at - PETIOLE_RING_BYTES) : at; }

uint8_t petiole_ring_is_sound(const petiole_ring *ring) {
  uint16_t used = 0;
  uint8_t i;
  if (ring->first >= PETIOLE_RING_FRAMES || ring->count > PETIOLE_RING_FRAMES) return 0;
  if (ring->head >= PETIOLE_RING_BYTES || ring->used > PETIOLE_RING_BYTES) return 0;
  for (i = 0; i < ring->count; i++) {
    const petiole_entry *entry = &ring->entries[(ring->first + i) % PETIOLE_RING_FRAMES];
    if (entry->length > ring->used - used) return 0;
    used = (uint16_t)(used + entry->length);
  }
  return used == ring->used;
}

petiole_entry *petiole_ring_entry(petiole_ring *ring, uint8_t index) {
  return &ring->entries[(uint8_t)(ring->first + index) % PETIOLE_RING_FRAMES];
}

void petiole_ring_add(petiole_ring *ring, const uint8_t *bytes, uint16_t length) {
  petiole_entry *entry = petiole_ring_entry(ring, (uint8_t)(ring->count - 1));
  uint16_t at = wrapped((uint16_t)(ring->head + ring->used));
  entry->length = (uint16_t)(entry->length + length);
  ring->used = (uint16_t)(ring->used + length);
  while (length-- > 0) {
    ring->bytes[at] = *bytes++;
    at = wrapped((uint16_t)(at + 1));
  }
}

void petiole_ring_pop(petiole_ring *ring) {
  uint16_t length = petiole_ring_entry(ring, 0)->length;
  ring->head = wrapped((uint16_t)(ring->head + length));
  ring->used = (uint16_t)(ring->used - length);
  ring->first = (uint8_t)((ring->first + 1) % PETIOLE_RING_FRAMES);
  ring->count--;
}

void petiole_ring_copy(const petiole_ring *ring, uint8_t index, petiole_sender *sender) {
  uint16_t at = ring->head;
  uint16_t length;
  uint8_t i;
  for (i = 0;; i++) {
    length = ring->entries[(uint8_t)(ring->first + i) % PETIOLE_RING_FRAMES].length;
    if (i == index) break;
    at = wrapped((uint16_t)(at + length));
  }
  while (length-- > 0) {
    petiole_frame_u8(sender, ring->bytes[at]);
    at = wrapped((uint16_t)(at + 1));
  }
}
