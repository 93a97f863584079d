/** One server-sent event. */
export interface ServerEvent {
  name: string
  data: string
}

/** Takes text as it arrives and returns the events that it completes. */
export class EventStreamParser {
  private rest = ''
  private name = ''
  private data: string[] = []

  push(text: string): ServerEvent[] {
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop() ?? ''
    return lines.flatMap((line) => this.take(line) ?? [])
  }

  private take(line: string): ServerEvent | null {
    if (line === '') return this.dispatch()
    const colon = line.indexOf(':')
    if (colon === 0) return null
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') this.name = value
    if (field === 'data') this.data.push(value)
    return null
  }

  private dispatch(): ServerEvent | null {
    const event = { name: this.name || 'message', data: this.data.join('\n') }
    const complete = this.data.length > 0
    this.name = ''
    this.data = []
    return complete ? event : null
  }
}

/** The events of a response, until the server ends it. */
export async function* eventsOf(response: Response): AsyncGenerator<ServerEvent> {
  if (!response.body) return
  const parser = new EventStreamParser()
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield* parser.push(value)
    }
  } finally {
    void reader.cancel().catch(() => undefined)
  }
}
