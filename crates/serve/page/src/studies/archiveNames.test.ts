import { expect, test } from 'vitest'
import type { ArchiveStudy } from '../api/archive'
import { canBeFetched, nameOf } from './archiveNames'

const study: ArchiveStudy = { uid: '1.2', date: null, description: null, patient_name: 'Doe^Jane', patient_id: 'P1', modalities: [], series: null }

test('a study is called by its patient, or by what else is known', () => {
  expect(nameOf(study)).toBe('Doe Jane')
  expect(nameOf({ ...study, patient_name: null })).toBe('P1')
  expect(nameOf({ ...study, patient_name: '^', patient_id: null })).toBe('1.2')
})

test('results are not fetched, nor what is here', () => {
  const series = { uid: '1.3', modality: 'CT', description: null, instances: 40, in_library: false }
  expect(canBeFetched(series)).toBe(true)
  expect(canBeFetched({ ...series, in_library: true })).toBe(false)
  expect(canBeFetched({ ...series, modality: 'SEG' })).toBe(false)
})
