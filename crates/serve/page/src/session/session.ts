import { computed, signal } from '@preact/signals'
import { getServer } from '../api/jobs'
import { messageOf, request } from '../api/request'
import type { Server } from '../api/types'
import { dropToken, keepToken, token } from './token'

export const server = signal<Server | null>(null)
export const serverError = signal<string | null>(null)

export const mustLogIn = computed(() => server.value?.auth === true && token.value === null)
export const connected = computed(() => server.value !== null && !mustLogIn.value)
export const mayWrite = computed(() => server.value !== null && server.value.role !== 'read')

export const mayDeleteScans = computed(() => server.value?.role === 'admin')

export async function connect(): Promise<void> {
  serverError.value = null
  try {
    server.value = await getServer()
  } catch (error) {
    serverError.value = messageOf(error)
  }
}

/** Tries the token before the page uses it. The role depends on it, so the server is asked again. */
export async function logIn(candidate: string): Promise<void> {
  await request('models', { headers: { Authorization: `Bearer ${candidate}` } })
  keepToken(candidate)
  await connect()
}

export function logOut(): void {
  dropToken()
  location.hash = ''
  location.reload()
}
