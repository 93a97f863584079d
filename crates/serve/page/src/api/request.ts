import { dropToken, token } from '../session/token'

/** An answer of the server that is not a success, with its text for the user. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  if (token.value && !headers.has('Authorization')) headers.set('Authorization', `Bearer ${token.value}`)
  let response: Response
  try {
    response = await fetch(`api/${path}`, { ...init, headers })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new RequestError(0, 'The server does not answer.')
  }
  if (response.ok) return response
  if (response.status === 401) dropToken()
  throw new RequestError(response.status, detailOf(response.status, await response.text()))
}

export async function requestJson<T>(path: string, init?: RequestInit): Promise<T> {
  return (await request(path, init)).json() as Promise<T>
}

export function postJson<T>(path: string, body: unknown): Promise<T> {
  return requestJson<T>(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
}

/** The server's own words if it sent them, otherwise ours. */
export function detailOf(status: number, body: string): string {
  try {
    const { detail } = JSON.parse(body) as { detail?: unknown }
    if (typeof detail === 'string' && detail) return sentence(detail)
  } catch {
    // Not JSON: a proxy answered.
  }
  if (status === 401) return 'This token is not valid.'
  if (status === 403) return 'Your token does not allow this.'
  if (status === 413) return 'The file is larger than the server accepts.'
  return `The server answered with an error (${status}).`
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Errors of the server begin in lower case and have no period. */
export function sentence(text: string): string {
  const capitalized = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(capitalized) ? capitalized : `${capitalized}.`
}
