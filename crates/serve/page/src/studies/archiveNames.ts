import type { ArchiveSeries, ArchiveStudy } from '../api/archive'

/** Modalities of objects that are derived from images and cannot be segmented. */
const DERIVED = ['SEG', 'SR', 'RTSTRUCT', 'RTDOSE', 'RTPLAN', 'PR', 'KO', 'REG', 'DOC']

export const canBeFetched = (one: ArchiveSeries) => !one.in_library && !DERIVED.includes(one.modality ?? '')

/** Patients' names have their parts separated by `^`. */
export const nameOf = (study: ArchiveStudy) => study.patient_name?.replaceAll('^', ' ').trim() || study.patient_id || study.uid
