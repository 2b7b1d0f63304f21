"""`deskbell new`: a folder with an integrator's package, which passes its own tests.

`command` copies the files of `template`, in which `acme` stands for the name. They end in `.in`, so that no tool takes
them for code of Deskbell's, and `dot-` stands for the dot that a file's name begins with.
"""
