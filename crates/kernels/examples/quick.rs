use actlab_kernels as k;
use burn::Tensor;
use burn::tensor::Device;
use std::time::Instant;
fn best(mut f: impl FnMut()) -> f64 {
    for _ in 0..5 { f(); }
    let mut b = 1e9_f64;
    for _ in 0..30 { let s = Instant::now(); f(); b = b.min(s.elapsed().as_secs_f64()); }
    b * 1e3
}
fn main() {
    let d = Device::flex();
    let a = d.clone().autodiff();
    let r = |s: [usize; 4], d: &Device| { let n: usize = s.iter().product(); let v: Vec<f32> = (0..n).map(|i| ((i * 7919) % 1000) as f32 / 250.0 - 2.0).collect(); Tensor::<1>::from_floats(v.as_slice(), d).reshape(s) };
    for (c, o, h, s) in [(16, 16, 32, 1), (32, 32, 16, 1), (64, 64, 8, 1), (16, 32, 32, 2), (3, 16, 32, 1), (16,22,32,1)] {
        let x = r([128, h, h, c], &d);
        let w = r([o, c, 3, 3], &d);
        let gf = 2.0 * 128.0 * ((h / s) * (h / s) * 9 * c * o) as f64 / 1e9;
        let t = best(|| { let _ = k::convolution(x.clone(), w.clone(), s); });
        println!("conv {c}->{o} {h} s{s} forward {t:.3} ms {:.0} GF/s", gf / t * 1e3);
        let xa = r([128, h, h, c], &a).require_grad();
        let wa = r([o, c, 3, 3], &a).require_grad();
        let g = r([128, h / s, h / s, o], &a);
        let t2 = best(|| { let y = k::convolution(xa.clone(), wa.clone(), s); let _ = (y * g.clone()).sum().backward(); });
        let t3 = best(|| { let y = g.clone().require_grad(); let _ = (y * g.clone()).sum().backward(); });
        println!("   f+b {:.3} ms {:.0} GF/s", t2 - t3, 3.0 * gf / (t2 - t3) * 1e3);
    }
}
