% Prints class, size and values of a variable of a MATLAB file as Octave reads it: octave-cli octave_probe.m FILE NAME
%
% Values run down the rows, then along the columns, then through the pages.

arguments = argv();
variable = getfield(load(arguments{1}), arguments{2});
printf('%s\n', class(variable));
printf('%d ', size(variable));
printf('\n');
printf('%.17g ', double(variable(:)));
printf('\n');
