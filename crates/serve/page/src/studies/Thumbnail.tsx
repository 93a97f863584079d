import { useEffect, useState } from 'preact/hooks'
import { thumbnail } from '../api/scans'

/** The picture needs the token, so it is fetched and shown from memory. */
export function Thumbnail({ scan }: { scan: string }) {
  const [address, setAddress] = useState<string | null>(null)
  useEffect(() => {
    const abort = new AbortController()
    let made: string | null = null
    thumbnail(scan, abort.signal).then(
      (blob) => {
        if (abort.signal.aborted) return
        made = URL.createObjectURL(blob)
        setAddress(made)
      },
      () => undefined,
    )
    return () => {
      abort.abort()
      if (made) URL.revokeObjectURL(made)
    }
  }, [scan])
  return <span class="thumbnail">{address && <img src={address} alt="" width={56} height={56} />}</span>
}
