import { expect, test } from 'vitest'
import { eventsOf, EventStreamParser } from './eventStream'

const stream = ': hello\n\nevent: job\ndata: {"state":"running"}\n\nevent: job\r\ndata: {"state":\r\ndata: "done"}\r\n\r\n'
const events = [
  { name: 'job', data: '{"state":"running"}' },
  { name: 'job', data: '{"state":\n"done"}' },
]

test('events are the same wherever the text is cut', () => {
  for (let cut = 0; cut <= stream.length; cut++) {
    const parser = new EventStreamParser()
    expect([...parser.push(stream.slice(0, cut)), ...parser.push(stream.slice(cut))]).toEqual(events)
  }
})

test('an event without a blank line is not complete', () => {
  expect(new EventStreamParser().push('event: job\ndata: 1\n')).toEqual([])
})

test('an event without a name is a message, one without data is none', () => {
  expect(new EventStreamParser().push('data:x\n\nevent: job\n\n')).toEqual([{ name: 'message', data: 'x' }])
})

test('events are read from a response in pieces of bytes, cut within letters too', async () => {
  const bytes = new TextEncoder().encode('data: grün\n\n')
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte))
      controller.close()
    },
  })
  const read = []
  for await (const event of eventsOf(new Response(body))) read.push(event)
  expect(read).toEqual([{ name: 'message', data: 'grün' }])
})
