import type { Niivue } from '@niivue/niivue'

/** The texture unit of NiiVue's drawing. */
const DRAWING_TEXTURE = 7

/** Surfaces are shaded and what is even is translucent, so that segments are seen inside the body. Before the first volume it costs nothing. */
export async function shadeRendering(nv: Niivue): Promise<void> {
  await nv.setGradientOpacity(0.35, 0.2)
  await nv.setVolumeRenderIllumination(0.4)
  // NiiVue 0.69 does not find this uniform of its shader, which then takes the image for the drawing.
  const program = nv.renderShader?.program
  if (program) nv.gl.uniform1i(nv.gl.getUniformLocation(program, 'drawing'), DRAWING_TEXTURE)
  keepGradients(nv)
}

/** Gradients are most of the work, and NiiVue computes them again with every change of an overlay. */
function keepGradients(nv: Niivue): void {
  const compute = nv.gradientGL.bind(nv)
  let computed = ''
  nv.gradientGL = (header) => {
    const { id, cal_min: low, cal_max: high } = nv.volumes[0] ?? {}
    const wanted = `${id} ${low} ${high}`
    if (wanted === computed) return
    compute(header)
    computed = wanted
  }
}
